import type { Target } from "../config/target.js";
import { densePlan, isDenseForm } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { Form, LinearPlan, Plan } from "../ir/plan.js";
import { accountBytes } from "../passes/account-bytes.js";
import type { TextQuality } from "../report/evaluation.js";
import { type Candidate, linearPlan } from "./candidates.js";
import type { Decision, FrontierPoint, Judged } from "./frontier.js";
import { chooseOptions, undominated } from "./knapsack.js";
import type { Objective } from "./objective.js";
import { type Laboratory, type MeasuredText, measureVariants } from "./variants.js";

/** What was measured on the way to a plan. */
export interface Search {
  /** By decision, its candidates with their predicted KL. */
  readonly judged: readonly (readonly Judged[])[];
  /** The cheapest first. */
  readonly frontier: readonly FrontierPoint[];
  /** The one that serves the objective best; the dense plan, if no other does. */
  readonly chosen: FrontierPoint;
}

/** How often plans are made for budgets that the measured ones suggest. */
const rounds = 2;

/**
 * Finds the plan that serves an objective best. Each candidate's KL is predicted from its local error and the sensitivity
 * of the model's output to errors there; for a budget of predicted KL, a knapsack problem chooses among them
 * (knapsack.ts); whole plans are measured on validation text, and the objective moves the budget by what was measured.
 */
export async function search(
  laboratory: Laboratory,
  graphPlan: Plan,
  decisions: readonly Decision[],
  validation: MeasuredText,
  objective: Objective,
  target: Target,
): Promise<Search> {
  const judged = decisions.map(({ candidates }) =>
    candidates.map((candidate): Judged => {
      const loss = candidate.divergences.reduce((sum, one) => sum + one, 0);
      return { ...candidate, cost: candidate.seconds, loss };
    }),
  );
  const options = judged.map(undominated);
  const points = new Map<string, FrontierPoint>();
  const measure = async (budgets: readonly number[]) => {
    const plans = new Map<string, Pick<FrontierPoint, "chosen" | "plan">>();
    for (const budget of budgets) {
      const indices = budget === 0 ? null : chooseOptions(options, budget);
      const chosen = judged.map(([dense], number) =>
        indices === null ? dense! : options[number]![indices[number]!]!,
      );
      const plan = planFrom(graphPlan, decisions, chosen, target);
      const key = planKey(plan);
      if (!points.has(key)) plans.set(key, { chosen, plan });
    }
    const variants = [...plans].map(([key, { plan }], index) => ({ name: `plan_${index}`, key, plan }));
    if (variants.length === 0) return;
    const found = await measureVariants(
      laboratory,
      variants,
      validation,
      "Measuring plans on validation text",
    );
    for (const { name, key } of variants) points.set(key, pointOf(plans.get(key)!, found.get(name)!));
  };
  await measure([0, ...objective.first]);
  for (let round = 1; round <= rounds; round++) {
    const budgets = objective.next([...points.values()], round === rounds);
    await measure(budgets);
  }
  const frontier = [...points.values()].sort((a, b) => a.seconds - b.seconds);
  return { judged, frontier, chosen: objective.best(frontier) };
}

function pointOf(
  { chosen, plan }: Pick<FrontierPoint, "chosen" | "plan">,
  quality: TextQuality,
): FrontierPoint {
  const sum = (of: (one: Judged) => number) => chosen.reduce((total, one) => total + of(one), 0);
  return {
    chosen,
    plan,
    predictedKl: sum(({ loss }) => loss),
    seconds: sum(({ seconds }) => seconds),
    meanBytes: sum(({ meanBytes }) => meanBytes),
    quality,
  };
}

/** The plan in which each decision's linears have the chosen form. */
function planFrom(
  plan: Plan,
  decisions: readonly Decision[],
  chosen: readonly Pick<Candidate, "form">[],
  { device }: Target,
): Plan {
  const linears = new Map<ValueId, LinearPlan>(densePlan(plan).linears);
  decisions.forEach(({ group }, index) => {
    for (const id of group.linears) linears.set(id, linearPlan(id, chosen[index]!.form));
  });
  return accountBytes({ ...plan, linears }, { device });
}

/** Tells a plan from others of its graph: what is not dense in it. */
export function planKey({ linears }: Plan): string {
  const forms: [ValueId, Form][] = [...linears.values()].flatMap(({ linear, form }) =>
    isDenseForm(form) ? [] : [[linear, form]],
  );
  return JSON.stringify(forms);
}
