import type { TextQuality } from "../evaluate/evaluate.js";
import { densePlan } from "../forms.js";
import type { Form, InputGroup, LinearPlan, Plan, ValueId } from "../ir.js";
import { accountBytes } from "../passes/account-bytes.js";
import type { Target } from "../target.js";
import { type Candidate, linearPlan } from "./candidates.js";
import { chooseOptions, type Option, undominated } from "./knapsack.js";
import { type Laboratory, type MeasuredText, measureVariants } from "./variants.js";

/** What is to be decided for the linears of one input. */
export interface Decision {
  readonly group: InputGroup;
  /** Dense first. */
  readonly candidates: readonly Candidate[];
}

/** A candidate with the KL that it is predicted to cause, in nats per token. */
export type Judged = Candidate & Option;

/** A plan between dense and the cheapest, as it was measured on validation text. */
export interface FrontierPoint {
  /** The candidate of each decision. */
  readonly chosen: readonly Judged[];
  readonly plan: Plan;
  /** The sum of what its candidates are predicted to cause. */
  readonly predictedKl: number;
  /** Predicted seconds of a token in all linears. */
  readonly seconds: number;
  readonly meanBytes: number;
  /** On validation text. */
  readonly quality: TextQuality;
}

/** What was measured on the way to a plan. */
export interface Search {
  /** By decision, its candidates with their predicted KL. */
  readonly judged: readonly (readonly Judged[])[];
  /** The cheapest first. */
  readonly frontier: readonly FrontierPoint[];
  /** The cheapest whose KL is within the budget, with its interval; the dense plan, if no other is. */
  readonly chosen: FrontierPoint;
}

/** Shares of the budget that plans are first made for. */
const shares = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 0.75, 1, 1.4, 2, 3];
/** What plans are made for around the budget that seems right. */
const around = [0.9, 1, 1.1];
const rounds = 2;

/**
 * Finds the plan of least predicted time whose KL is within the budget. Each candidate's KL is predicted from its
 * local error and the sensitivity of the model's output to errors there; a knapsack problem chooses among them
 * (knapsack.ts); then whole plans are measured on validation text, and the budget of predictions is moved until the
 * measured KL, with its 95 % interval, is just within the one that is asked for.
 */
export async function search(
  laboratory: Laboratory,
  graphPlan: Plan,
  decisions: readonly Decision[],
  sensitivities: readonly number[],
  validation: MeasuredText,
  maxKl: number,
  target: Target,
): Promise<Search> {
  const judged = decisions.map(({ candidates }, index) =>
    candidates.map((candidate): Judged => {
      const error = candidate.errors.reduce((sum, one) => sum + one, 0);
      return { ...candidate, cost: candidate.seconds, loss: sensitivities[index]! * error };
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
  await measure([0, ...shares.map((share) => share * maxKl)]);
  for (let round = 0; round < rounds; round++) {
    const budget = rightBudget([...points.values()], maxKl);
    if (budget !== null) await measure(around.map((factor) => factor * budget));
  }
  const frontier = [...points.values()].sort((a, b) => a.seconds - b.seconds);
  return { judged, frontier, chosen: frontier.find(({ quality }) => quality.kl.high <= maxKl)! };
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

/** The predicted KL at which the upper end of the measured one would meet the budget: between two points, log by log. */
function rightBudget(points: readonly FrontierPoint[], maxKl: number): number | null {
  const known = points
    .map(({ predictedKl, quality }) => ({ predicted: predictedKl, measured: quality.kl.high }))
    .filter(({ predicted, measured }) => predicted > 0 && measured > 0)
    .sort((a, b) => a.predicted - b.predicted);
  const above = known.findIndex(({ measured }) => measured > maxKl);
  if (above < 0) return null;
  const high = known[above]!;
  const low = known[above - 1];
  if (low === undefined) return (high.predicted * maxKl) / high.measured / 2;
  const slope = Math.log(high.measured / low.measured) / Math.log(high.predicted / low.predicted);
  return low.predicted * (maxKl / low.measured) ** (1 / Math.max(slope, 0.25));
}

/** The plan in which each decision's linears have the chosen form. */
export function planFrom(
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
    form.kind === "dense" ? [] : [[linear, form]],
  );
  return JSON.stringify(forms);
}
