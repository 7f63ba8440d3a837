import type { PlanOptions } from "../config/config.js";
import type { Plan } from "../ir/plan.js";
import type { DeviceKind } from "../ir/program.js";

/** The form that linears get; of lists the first counts. */
export type ConfiguredForm = Pick<PlanOptions, "forms" | "k" | "epsilon"> & Partial<PlanOptions>;

/** What passes may look at besides the plan. */
export interface PassContext {
  readonly options: ConfiguredForm;
  /** Decides how weights are packed, and so how many bytes they take; default: a CPU. */
  readonly device?: DeviceKind;
}

/** A pass: one pure function from plan to plan, in a file of its name. */
export interface Pass {
  readonly name: string;
  readonly run: (plan: Plan, context: PassContext) => Plan;
}
