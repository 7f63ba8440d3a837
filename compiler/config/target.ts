/** A machine that kernels are emitted for: data alone, read from `targets/<name>.toml`. */
export type Target = CpuTarget | GpuTarget;

interface TargetBase {
  readonly name: string;
  /** Folder of templates. */
  readonly dialect: string;
  /** Compiler flags beside those that every kernel gets. */
  readonly flags: readonly string[];
  readonly cost: CostModel;
}

/** What a token costs beside its arithmetic, which reading hides. */
export interface CostModel {
  /** Bytes per second that a good matrix-vector kernel reads from memory. */
  readonly bandwidth: number;
  /** Seconds per launch that the host issues; a captured graph counts as one. CPUs: 0. */
  readonly launch: number;
  /** Seconds per dependent kernel. */
  readonly step: number;
}

export interface CpuTarget extends TargetBase {
  readonly device: "cpu";
  /** As `uname -m` names it, or `any`. */
  readonly architecture: string;
  /** What the machine must have, by the names of the compiler's `__builtin_cpu_supports`. */
  readonly features: readonly string[];
}

export interface GpuTarget extends TargetBase {
  readonly device: "hip" | "cuda";
  /** As the compiler names it: gfx942, sm_90. */
  readonly architecture: string;
  readonly gpu: GpuShape;
}

/** What kernels are shaped by. */
export interface GpuShape {
  /** Lanes that run in step. */
  readonly wave: number;
  readonly computeUnits: number;
  /** Bytes of LDS (shared memory) that a workgroup may take. */
  readonly lds: number;
  /** Workgroups that a compute unit holds at once. */
  readonly workgroupsPerUnit: number;
  readonly wavesPerWorkgroup: number;
  /** Bytes per second that a compute unit reads from the second-level cache when all of them do. */
  readonly cacheBandwidthPerUnit: number;
  /** Splits that were measured to be best, by `shapeKey` of emit/gpu/division.ts; a shape without gets the rule. */
  readonly tuned?: ReadonlyMap<string, number> | undefined;
}

/**
 * What one set of kernels for several targets is shaped by: the first of them, with no more of anything than all have.
 */
export function commonTarget(targets: readonly Target[]): Target {
  const first = targets[0]!;
  const gpus = targets.filter(isGpu);
  if (!isGpu(first)) return first;
  const least = (of: (shape: GpuShape) => number) => Math.min(...gpus.map(({ gpu }) => of(gpu)));
  return {
    ...first,
    gpu: {
      ...first.gpu,
      lds: least(({ lds }) => lds),
      workgroupsPerUnit: least(({ workgroupsPerUnit }) => workgroupsPerUnit),
      wavesPerWorkgroup: least(({ wavesPerWorkgroup }) => wavesPerWorkgroup),
      cacheBandwidthPerUnit: least(({ cacheBandwidthPerUnit }) => cacheBandwidthPerUnit),
    },
  };
}

export function isCpu(target: Target): target is CpuTarget {
  return target.device === "cpu";
}

export function isGpu(target: Target): target is GpuTarget {
  return !isCpu(target);
}
