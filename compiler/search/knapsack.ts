/** One way to compute what is to be decided: what it costs, and what it loses. */
export interface Option {
  /** To be minimised. */
  readonly cost: number;
  /** Not negative; the sum over all decisions must not exceed the budget. */
  readonly loss: number;
}

/** Steps that a budget is divided into; losses are rounded up to whole ones, so that a choice never exceeds it. */
const usualSteps = 20_000;
/** The most, where losses are multiples of a number; what a decision takes of memory is two bytes a step. */
const mostSteps = 100_000;

/**
 * The multiple-choice knapsack problem: one option of each decision, so that the sum of costs is least while that of
 * losses is within the budget. By dynamic programming over the rounded losses (Dudzinski and Walukiewicz, "Exact methods
 * for the knapsack problem and its generalizations", 1987); exact but for that rounding, which wastes at most one step
 * of 20,000 a decision, and nothing where all losses are multiples of `multiple` and the budget at most 100,000 of
 * these. Of equal choices the first is taken. Returns the index of each decision's option; null if no choice is within
 * the budget.
 */
export function chooseOptions(
  decisions: readonly (readonly Option[])[],
  budget: number,
  multiple?: number,
): readonly number[] | null {
  const whole = multiple === undefined ? Number.POSITIVE_INFINITY : Math.floor(budget / multiple);
  const steps = whole <= mostSteps ? whole : usualSteps;
  const unit = whole <= mostSteps ? multiple! : budget / steps;
  const weightOf = (loss: number) => (loss === 0 ? 0 : unit > 0 ? Math.ceil(loss / unit) : steps + 1);
  let least = new Float64Array(steps + 1);
  const chosen: Int16Array[] = [];
  for (const options of decisions) {
    const next = new Float64Array(steps + 1).fill(Number.POSITIVE_INFINITY);
    const choice = new Int16Array(steps + 1).fill(-1);
    for (const [index, { cost, loss }] of options.entries()) {
      const weight = weightOf(loss);
      for (let used = weight; used <= steps; used++) {
        const total = least[used - weight]! + cost;
        if (total < next[used]!) {
          next[used] = total;
          choice[used] = index;
        }
      }
    }
    chosen.push(choice);
    least = next;
  }
  if (!Number.isFinite(least[steps]!)) return null;
  const result: number[] = [];
  let used = steps;
  for (let number = decisions.length - 1; number >= 0; number--) {
    const index = chosen[number]![used]!;
    result.push(index);
    used -= weightOf(decisions[number]![index]!.loss);
  }
  return result.reverse();
}

/** The options that no other beats in both cost and loss, the cheapest first; of equal ones the first. */
export function undominated<T extends Option>(options: readonly T[]): T[] {
  const sorted = options
    .map((option, index) => ({ option, index }))
    .sort((a, b) => a.option.cost - b.option.cost || a.option.loss - b.option.loss || a.index - b.index);
  const kept: T[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (const { option } of sorted) {
    if (option.loss >= least) continue;
    kept.push(option);
    least = option.loss;
  }
  return kept;
}

/** Whether mixtures of two options, in any shares, are both cheaper and lose less than `one`. */
export function aboveHull(options: readonly Option[], one: Option): boolean {
  return options.some((a) =>
    options.some((b) => {
      if (a.cost > one.cost || b.cost < one.cost) return false;
      const share = b.cost === a.cost ? 0 : (one.cost - a.cost) / (b.cost - a.cost);
      return a.loss + share * (b.loss - a.loss) <= one.loss;
    }),
  );
}
