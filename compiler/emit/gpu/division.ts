import type { GpuShape, GpuTarget } from "../../config/target.js";
import { shapeKey } from "../../config/tuning.js";
import type { LaunchShape } from "../../ir/program.js";
import type { InputFactors, WeightSource } from "../../ir/steps.js";
import { sourceBytes } from "../../layout/matrix.js";
import { unitLayouts } from "../../layout/planes.js";
import { unitElements } from "../../layout/quantized-planes.js";
import { shapeOf } from "../../layout/shape.js";
import { maxColumns } from "../../layout/stride.js";
import { tileRows } from "../../layout/tiles.js";
import { factorPlaces, presentFactors } from "../../lower/factors.js";
import type { ProjectionShape } from "../../report/tuning.js";
import { elementType } from "../element.js";

/** Waves of the workgroups that do not multiply: enough to hide latency, few enough that many fit. */
export const smallWaves = 4;

/** A launch of workgroups of `waves` waves, `most` of which find work. */
export function launchOf(gpu: GpuShape, waves: number, most: number, lds: number): LaunchShape {
  const perUnit = gpu.workgroupsPerUnit * Math.max(1, Math.floor(gpu.wavesPerWorkgroup / waves));
  return { threads: waves * gpu.wave, lds, maxWorkgroups: Math.max(1, Math.ceil(most)), perUnit };
}

/** The element type of a matrix by its C++ name, its shape, and the elements of a unit. */
export function unitShapeOf(source: WeightSource) {
  if (!("quantizer" in source)) {
    const { out, d, ...type } = shapeOf(source);
    return { type: elementType(type), out, d, rank: null, elements: unitLayouts[type.dtype].elements };
  }
  const { out, d, rank, quantizer } = source;
  const type = `quantized<${[quantizer.bits, quantizer.group, quantizer.symmetric].join(", ")}>`;
  return { type, out, d, rank: rank === 0 ? null : rank, elements: unitElements };
}

/** The shape of a projection by one matrix, or by a pair. */
function projectionShape(source: WeightSource, second: WeightSource | null = null): ProjectionShape {
  const { type, out, d } = unitShapeOf(source);
  const other = second === null ? type : unitShapeOf(second).type;
  return { type: other === type ? type : `${type}+${other}`, out, d, matrices: second === null ? 1 : 2 };
}

/** Waves that share a tile of four rows: as measured on the device, or by the rule. */
export function splitsOf(source: WeightSource, gpu: GpuShape, second: WeightSource | null = null): number {
  return gpu.tuned?.get(shapeKey(projectionShape(source, second))) ?? ruledSplits(source, gpu);
}

/**
 * The rule: the power of two with the least rounds of workgroups times loads of a lane, a round's sums and barriers
 * counted as two; the lowest among equals.
 */
export function ruledSplits(source: WeightSource, gpu: GpuShape): number {
  const { out, d, elements } = unitShapeOf(source);
  const tiles = Math.ceil(out / tileRows);
  const loads = Math.ceil((Math.ceil(d / elements) * tileRows) / gpu.wave);
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
export function groupsOf(source: WeightSource, gpu: GpuShape, splits = splitsOf(source, gpu)): number {
  const tiles = Math.ceil(unitShapeOf(source).out / tileRows);
  return Math.ceil((tiles * splits) / gpu.wavesPerWorkgroup);
}

/** Bytes of LDS that the products with factors may take in a launch that computes them for itself. */
const maxFactorBytes = 16 * 1024;

/**
 * Whether every workgroup of a launch multiplies by an input's factors for itself: where reading them from the cache, by
 * all compute units at once, takes less time than a launch more.
 */
export function computesOwn(factors: InputFactors, { gpu, cost, device }: GpuTarget): boolean {
  const bytes = presentFactors(factors).reduce((sum, factor) => sum + sourceBytes(device, factor), 0);
  const memory = ownFactorBytes(factorPlaces(factors).width);
  return bytes / gpu.cacheBandwidthPerUnit < cost.step && memory <= maxFactorBytes;
}

/** Bytes of `FactorsMemory` in templates/include/gsic/gpu/gate.h. */
export function ownFactorBytes(width: number): number {
  return maxColumns * width * 4 + maxColumns * 8;
}

/** Bytes of `CorrectionMemory` there. */
export function correctionBytes(rank: number): number {
  return maxColumns * rank * 4;
}

/** LDS of a projection in bytes, part by part, as templates/include/gsic/gpu/{project,source,gate}.h declare it. */
export function ldsOf(
  gpu: GpuShape,
  matrices: number,
  sources: readonly WeightSource[],
  uses: { readonly norm: boolean; readonly gate: boolean; readonly factors?: number },
): { readonly stage: number; readonly total: number } {
  const waves = gpu.wavesPerWorkgroup;
  const sums = matrices * waves * maxColumns * tileRows * 4;
  const norm = uses.norm ? maxColumns * waves * 4 + maxColumns * 8 : 0;
  const gate = uses.gate ? maxColumns * 8 + maxColumns * waves * 8 : 0;
  const fixed = sums + norm + gate + (uses.factors ?? 0);
  const room = Math.floor((gpu.lds - fixed) / 1024) * 1024;
  // A column takes four bytes an element, however it is staged, and a block its sum.
  const wanted = sources.map((source) => {
    const { d, elements } = unitShapeOf(source);
    return Math.ceil(d / elements) * (elements + 1) * 4 * maxColumns;
  });
  const stage = Math.min(room, Math.max(...wanted));
  return { stage, total: stage + fixed };
}
