import { type ByDevice, ofTarget, type Target } from "../config/target.js";
import { cpuEmitter } from "./cpu.js";
import type { Emitter } from "./emitter.js";
import { gpuEmitter } from "./gpu/emitter.js";

const emitters: ByDevice<Emitter> = {
  cpu: () => cpuEmitter,
  hip: gpuEmitter,
  cuda: gpuEmitter,
};

/** How steps become kernels on a target. */
export function emitterFor(target: Target): Emitter {
  return ofTarget(emitters, target);
}
