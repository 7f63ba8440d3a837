import type { Emitter } from "./emitter.js";
import { genericShape } from "./generic.js";
import { kernelOf } from "./kernel.js";

/** CPUs: a kernel a step. Workers share the coordinates of a basis, and compute everything else that is small themselves. */
export const cpuEmitter: Emitter = {
  emit: (steps, context) => ({
    steps,
    deviceSteps: null,
    calls: steps.map((step) => {
      const call = kernelOf(step, context);
      return { ...call, divisions: [], generic: genericShape(step, call, context) };
    }),
  }),
  unlaunched: [],
  stacksParts: false,
  keepsInputs: true,
  launchesFactors: ({ basis }) => basis !== null,
};
