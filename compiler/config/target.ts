import type { DeviceKind } from "../ir/program.js";

/** A machine that kernels are emitted for: data alone, read from `targets/<name>.toml`. */
export type Target = CpuTarget | GpuTarget;

/** The targets of a kind of device. */
export type TargetOf<Kind extends DeviceKind> = Target & { readonly device: Kind };

/** What each kind of device makes of a target of its own. */
export type ByDevice<Result> = { readonly [Kind in DeviceKind]: (target: TargetOf<Kind>) => Result };

/** What a target's kind of device makes of it. */
export function ofTarget<Result>(table: ByDevice<Result>, target: Target): Result {
  // An entry takes the targets of its kind, which the type checker cannot follow.
  return (table[target.device] as (target: Target) => Result)(target);
}

interface TargetBase {
  readonly name: string;
  /** Folder of templates. */
  readonly dialect: string;
  /** Compiler flags beside those that every kernel gets. */
  readonly flags: readonly string[];
  /** What the machine must have, by the names of the compiler's `__builtin_cpu_supports`; none of GPUs. */
  readonly features: readonly string[];
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

/** CPUs of one architecture that have certain instruction sets. */
export interface CpuTarget extends TargetBase {
  readonly device: "cpu";
  /** As `uname -m` names it, or `any`. */
  readonly architecture: string;
}

/** A GPU model: one architecture, with the sizes that its kernels are divided by. */
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
  /** Clocks of a compute unit per second. */
  readonly clock: number;
  /** Seconds of a round trip to memory. */
  readonly latency: number;
  /**
   * Vector and matrix instructions per weight in the inner loop for one column, by type: those of files by their names,
   * those at few bits as `int4`. Counted in the machine code; empty where that has not been done.
   */
  readonly instructions: ReadonlyMap<string, number>;
  /** Splits that were measured to be best, by `shapeKey` of emit/gpu/division.ts; a shape without gets the rule. */
  readonly tuned?: ReadonlyMap<string, number> | undefined;
}

/** Whether a target is of CPUs: those of this machine calibrate and measure, whatever a build is for. */
export function isCpu(target: Target): target is CpuTarget {
  return target.device === "cpu";
}

/** Whether kernels for a target are shaped by what a GPU's compute unit has. */
export function isGpu(target: Target): target is GpuTarget {
  return "gpu" in target;
}
