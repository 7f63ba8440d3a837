import type { Emitter } from "./emitter.js";
import { kernelOf } from "./kernel.js";

/** CPUs: a kernel a step. Workers share the coordinates of a basis, and compute everything else that is small themselves. */
export const cpuEmitter: Emitter = {
  emit: (steps, context) => ({
    steps,
    deviceSteps: null,
    calls: steps.map((step) => ({ ...kernelOf(step, context), divisions: [] })),
  }),
  unlaunched: [],
  stacksParts: false,
  keepsInputs: true,
  launchesFactors: ({ basis }) => basis !== null,
};
