import type { GpuTarget } from "../../config/target.js";
import { presentFactors } from "../../lower/factors.js";
import { fuse } from "../../lower/fuse.js";
import type { EmittedCall, Emitter } from "../emitter.js";
import type { GpuKernelCall } from "../operands.js";
import { partsOf } from "./attention.js";
import { computesOwn } from "./division.js";
import { deviceKernelOf } from "./kernel.js";
import { projectionDivisions } from "./projection-divisions.js";
import { readKernel } from "./read.js";

/** GPUs: norms and the cache's update in the kernels around them, so that a token takes few dependent launches. */
export function gpuEmitter(target: GpuTarget): Emitter {
  return {
    emit(steps, context) {
      const fused = fuse(
        steps,
        (factors) => computesOwn(factors, target),
        (attention, reader) => partsOf(attention, reader, context, target.gpu),
      );
      const calls = fused.map((step) => divided(deviceKernelOf(step, context, target)));
      return { steps: fused, deviceSteps: fused, calls };
    },
    unlaunched: [divided(readKernel(target))],
    stacksParts: true,
    keepsInputs: false,
    launchesFactors: (factors) => presentFactors(factors).length > 0 && !computesOwn(factors, target),
  };
}

function divided(call: GpuKernelCall): EmittedCall {
  return { ...call, divisions: projectionDivisions(call) };
}
