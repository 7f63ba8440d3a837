import type { Graph } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { verifyPlan } from "../ir/verify.js";
import { accountBytes } from "./account-bytes.js";
import { chooseForms } from "./choose-forms.js";
import type { Pass, PassContext } from "./pass.js";
import { shareInputs } from "./share-inputs.js";

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
  observe: (name: string, plan: Plan) => void = () => {},
): Plan {
  let plan: Plan = { graph, linears: new Map(), groups: [] };
  for (const pass of passes) {
    plan = pass.run(plan, context);
    verifyPlan(plan, pass.name);
    observe(pass.name, plan);
  }
  return plan;
}
