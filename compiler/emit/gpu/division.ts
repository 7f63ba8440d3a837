import { factorBytes } from "../../cost.js";
import type { LaunchShape, PlainSource } from "../../ir.js";
import { maxColumns, tileRows } from "../../schedule/layout.js";
import { unitLayouts, unitsOf } from "../../schedule/planes.js";
import type { GpuShape, GpuTarget } from "../../target.js";
import { shapeOf } from "../shape.js";

/** Waves of the workgroups that do not multiply: enough to hide latency, few enough that many fit. */
export const smallWaves = 4;

/** A launch of workgroups of `waves` waves, `most` of which find work. */
export function launchOf(gpu: GpuShape, waves: number, most: number, lds: number): LaunchShape {
  const perUnit = gpu.workgroupsPerUnit * Math.max(1, Math.floor(gpu.wavesPerWorkgroup / waves));
  return { threads: waves * gpu.wave, lds, most: Math.max(1, Math.ceil(most)), perUnit };
}

/** What a projection's division is decided by. */
export interface ProjectionShape {
  /** Weight type; `first+second` where the matrices of a pair differ. */
  readonly type: string;
  readonly out: number;
  readonly d: number;
  /** 2: gate and up, computed together. */
  readonly matrices: 1 | 2;
}

/** One key for equal shapes. */
export function shapeKey({ type, out, d, matrices }: ProjectionShape): string {
  return `${type} ${out}x${d} ${matrices}`;
}

/** The shape of a projection by one matrix, or by a pair. */
export function projectionShape(source: PlainSource, second: PlainSource | null = null): ProjectionShape {
  const { dtype, out, d } = shapeOf(source);
  const other = second === null ? dtype : shapeOf(second).dtype;
  return { type: other === dtype ? dtype : `${dtype}+${other}`, out, d, matrices: second === null ? 1 : 2 };
}

/** Waves that share a tile of four rows: as measured on the device, or by the rule. */
export function splitsOf(source: PlainSource, gpu: GpuShape, second: PlainSource | null = null): number {
  return gpu.tuned?.get(shapeKey(projectionShape(source, second))) ?? ruledSplits(source, gpu);
}

/**
 * The rule: the power of two with the least rounds of workgroups times loads of a lane, a round's sums and barriers
 * counted as two; the lowest among equals.
 */
export function ruledSplits(source: PlainSource, gpu: GpuShape): number {
  const { dtype, out, d } = shapeOf(source);
  const tiles = Math.ceil(out / tileRows);
  const loads = Math.ceil((unitsOf(dtype, d) * tileRows) / gpu.wave);
  const slots = gpu.computeUnits * gpu.workgroupsPerUnit;
  let best = { splits: 1, time: Number.POSITIVE_INFINITY };
  for (let splits = 1; splits <= gpu.wavesPerWorkgroup; splits *= 2) {
    const groups = Math.ceil((tiles * splits) / gpu.wavesPerWorkgroup);
    const time = Math.ceil(groups / slots) * (Math.ceil(loads / splits) + 2);
    if (time < best.time) best = { splits, time };
  }
  return best.splits;
}

/** Workgroups that find work in a projection. */
export function groupsOf(source: PlainSource, gpu: GpuShape, splits = splitsOf(source, gpu)): number {
  const tiles = Math.ceil(shapeOf(source).out / tileRows);
  return Math.ceil((tiles * splits) / gpu.wavesPerWorkgroup);
}

/** Bytes of LDS that the coordinates of all columns may take in a launch that computes them for itself. */
const mostCoordinateBytes = 16 * 1024;

/**
 * Whether every workgroup of a gated launch computes g for itself: where reading the basis from the cache, by all
 * compute units at once, takes less time than a launch more.
 */
export function computesOwnBasis(
  { k, d }: { k: number; d: number },
  { gpu, cost, device }: GpuTarget,
): boolean {
  const seconds = factorBytes(k, d, device) / gpu.cacheBandwidthPerUnit;
  return seconds < cost.step && coordinateBytes(k) <= mostCoordinateBytes;
}

/** Bytes of `CoordinatesMemory` in templates/include/gsic/gpu/gate.h. */
export function coordinateBytes(k: number): number {
  return Math.ceil((maxColumns * k * 4) / 8) * 8 + maxColumns * 8;
}

/** LDS of a projection in bytes, part by part, as templates/include/gsic/gpu/{project,source,gate}.h declare it. */
export function ldsOf(
  gpu: GpuShape,
  matrices: number,
  sources: readonly PlainSource[],
  uses: { readonly norm: boolean; readonly gate: boolean; readonly coordinates?: number },
): { readonly stage: number; readonly total: number } {
  const waves = gpu.wavesPerWorkgroup;
  const sums = matrices * waves * maxColumns * tileRows * 4;
  const norm = uses.norm ? maxColumns * waves * 4 + maxColumns * 8 : 0;
  const gate = uses.gate ? maxColumns * 8 + maxColumns * waves * 8 : 0;
  const fixed = sums + norm + gate + (uses.coordinates ?? 0);
  const room = Math.floor((gpu.lds - fixed) / 1024) * 1024;
  // A column takes four bytes an element, however it is staged, and a block its sum.
  const wanted = sources.map((source) => {
    const { dtype, d } = shapeOf(source);
    return unitsOf(dtype, d) * (unitLayouts[dtype].elements + 1) * 4 * maxColumns;
  });
  const stage = Math.min(room, Math.max(...wanted));
  return { stage, total: stage + fixed };
}
