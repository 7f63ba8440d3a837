import type { GpuShape } from "../../config/target.js";
import type { DeviceStep } from "../../ir/steps.js";
import { shapeOf } from "../../layout/shape.js";
import { factorsOf } from "../../lower/factors.js";

/** Elements of a column, of its gain and of its shift that a lane holds of each, in fours. */
const heldFours = 4;

/**
 * Whether a projection's first weights are on their way before its input is measured: where nothing decides what is
 * multiplied, and lanes have the registers to hold what is normalised.
 */
export function isAhead(
  step: Pick<
    Extract<DeviceStep, { kind: "project" }>,
    "gate" | "correction" | "exact" | "parts" | "norm" | "d"
  >,
  gpu: GpuShape,
): boolean {
  if (factorsOf(step) !== null) return false;
  // A matrix with columns in an order of its own stages the input in that order.
  const sources = step.parts.map(({ weight, quantized }) => quantized ?? weight);
  if (sources.some((source) => !("quantizer" in source) && shapeOf(source).ordered)) return false;
  return step.norm === null || step.d <= 4 * heldFours * gpu.wave * gpu.wavesPerWorkgroup;
}
