import type { GenericShape } from "../ir/program.js";
import type { DeviceStep, InputFactors, Step } from "../ir/steps.js";
import type { ProjectionDivision } from "./gpu/projection-divisions.js";
import type { KernelCall } from "./operands.js";

/** A kernel call, and how its products are divided among waves; by nothing on CPUs. */
export type EmittedCall = KernelCall & {
  readonly divisions: readonly ProjectionDivision[];
  readonly generic?: GenericShape;
};

/** Steps as a device runs them, and their kernels. */
interface Emitted {
  readonly steps: readonly (Step | DeviceStep)[];
  /** The same steps where others were made of those that were lowered, else null. */
  readonly deviceSteps: readonly DeviceStep[] | null;
  readonly calls: readonly EmittedCall[];
}

/** How steps become kernels on a target. */
export interface Emitter {
  /** The steps as the device runs them, and the kernel of each. `context` is the length of the KV cache. */
  emit(steps: readonly Step[], context: number): Emitted;
  /** Kernels that every bundle carries although no program launches them. */
  readonly unlaunched: readonly EmittedCall[];
  /** Whether matrices that a projection multiplies side by side lie stacked, as one matrix. */
  readonly stacksParts: boolean;
  /** Whether the input of every linear is a value in memory, which calibration reads there. */
  readonly keepsInputs: boolean;
  /** Whether what linears share is multiplied in a launch of its own. */
  launchesFactors(factors: InputFactors): boolean;
}
