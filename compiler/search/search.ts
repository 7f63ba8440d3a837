import type { Target } from "../config/target.js";
import { withCache } from "../ir/cache.js";
import { densePlan } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { LinearPlan, Plan } from "../ir/plan.js";
import { accountBytes } from "../passes/account-bytes.js";
import type { CacheOption } from "./cache-options.js";
import { type Candidate, linearPlan } from "./candidates.js";
import type { Decision, FrontierPoint, Judged, MeasuredPoint } from "./frontier.js";
import { chooseOptions, undominated } from "./knapsack.js";
import type { Objective } from "./objective.js";
import { planKey } from "./plan-key.js";
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
 * `caches` are what the KV cache may be, f32 first; null: what it is in the graph.
 */
export async function search(
  laboratory: Laboratory,
  graphPlan: Plan,
  decisions: readonly Decision[],
  validation: MeasuredText,
  objective: Objective,
  target: Target,
  caches: readonly (CacheOption | null)[] = [null],
): Promise<Search> {
  const judged = decisions.map(({ candidates }) =>
    candidates.map((candidate): Judged => {
      const loss = candidate.divergences.reduce((sum, one) => sum + one, 0);
      return { ...candidate, cost: candidate.seconds, loss };
    }),
  );
  const options = judged.map(undominated);
  const make = (budget: number) => {
    const within = caches.filter((cache) => cache === null || cache.loss <= budget);
    const points = within.map((cache) => {
      const left = budget - (cache?.loss ?? 0);
      const indices = budget === 0 ? null : chooseOptions(options, left);
      const chosen = judged.map(([dense], number) =>
        indices === null ? dense! : options[number]![indices[number]!]!,
      );
      return pointOf(chosen, planFrom(graphPlan, decisions, chosen, cache, target), cache);
    });
    return points.reduce((best, one) => (one.seconds < best.seconds ? one : best));
  };
  const points = await walkBudgets(laboratory, validation, objective, make);
  const frontier = points.sort((a, b) => a.seconds - b.seconds);
  return { judged, frontier, chosen: objective.best(frontier) };
}

/** A plan that is to be measured; its key tells it from others of its graph. */
interface Unmeasured extends Omit<MeasuredPoint, "quality"> {
  readonly key: string;
  readonly plan: Plan;
}

/** Measures the plans for the budgets that an objective asks for, 0 and those that the measured ones suggest; each plan once. */
export async function walkBudgets<T extends Unmeasured>(
  laboratory: Laboratory,
  validation: MeasuredText,
  objective: Pick<Objective<T & MeasuredPoint>, "first" | "next">,
  make: (budget: number) => T,
): Promise<(T & MeasuredPoint)[]> {
  const points = new Map<string, T & MeasuredPoint>();
  const measure = async (budgets: readonly number[]) => {
    const made = new Map(budgets.map(make).map((one) => [one.key, one]));
    const missing = [...made.values()].filter(({ key }) => !points.has(key));
    const variants = missing.map(({ key, plan }, index) => ({ name: `plan_${index}`, key, plan }));
    if (variants.length === 0) return;
    const title = "Measuring plans on validation text";
    const found = await measureVariants(laboratory, variants, validation, title);
    variants.forEach(({ name, key }, index) => {
      points.set(key, { ...missing[index]!, quality: found.get(name)! });
    });
  };
  await measure([0, ...objective.first]);
  for (let round = 1; round <= rounds; round++)
    await measure(objective.next([...points.values()], round === rounds));
  return [...points.values()];
}

function pointOf(chosen: readonly Judged[], plan: Plan, cache: CacheOption | null) {
  const sum = (of: (one: Judged) => number) => chosen.reduce((total, one) => total + of(one), 0);
  return {
    key: planKey(plan),
    chosen,
    plan,
    cache,
    predictedKl: sum(({ loss }) => loss) + (cache?.loss ?? 0),
    seconds: sum(({ seconds }) => seconds) + (cache?.seconds ?? 0),
    meanBytes: sum(({ meanBytes }) => meanBytes),
  };
}

/** The plan in which each decision's linears have the chosen form, and the cache its type. */
function planFrom(
  plan: Plan,
  decisions: readonly Decision[],
  chosen: readonly Pick<Candidate, "form">[],
  cache: CacheOption | null,
  { device }: Target,
): Plan {
  const linears = new Map<ValueId, LinearPlan>(densePlan(plan).linears);
  decisions.forEach(({ group }, index) => {
    for (const id of group.linears) linears.set(id, linearPlan(id, chosen[index]!.form));
  });
  const graph = cache === null ? plan.graph : withCache(plan.graph, cache.type);
  return accountBytes({ ...plan, graph, linears }, { device });
}
