import type { PlanOptions } from "../config.js";
import type { DeviceKind, Graph, Plan } from "../ir.js";
import { verifyPlan } from "../verify.js";
import { accountBytes } from "./account-bytes.js";
import { chooseForms } from "./choose-forms.js";
import { shareInputs } from "./share-inputs.js";

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

/** The passes, in the order in which they run. */
export const passes: readonly Pass[] = [
  // Groups come first: forms share a basis per group, and bytes are counted per group.
  { name: "share-inputs", run: shareInputs },
  { name: "choose-forms", run: chooseForms },
  // Last, since the account depends on every form.
  { name: "account-bytes", run: accountBytes },
];

/** Runs all passes, verifies the plan after each, and hands every result to `observe` (for `--dump`). */
export function makePlan(
  graph: Graph,
  context: PassContext,
  observe: (number: number, name: string, plan: Plan) => void = () => {},
): Plan {
  let plan: Plan = { graph, linears: new Map(), groups: [] };
  passes.forEach((pass, index) => {
    plan = pass.run(plan, context);
    verifyPlan(plan, pass.name);
    observe(index + 1, pass.name, plan);
  });
  return plan;
}
