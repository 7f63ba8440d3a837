import { factorQuantizer } from "../ir/forms.js";
import type { SubspaceGate } from "../ir/plan.js";
import type { InputFactors, PlainSource, QuantizedSource, Step, TierRecipe } from "../ir/steps.js";
import { roundUp } from "../layout/stride.js";

/** What linears share that read one input of `d` elements: V of a gate, and B and S as their tiers' recipe says. */
export function inputFactors(recipe: TierRecipe, gate: SubspaceGate | null, d: number): InputFactors {
  const { input, rank, projections } = recipe;
  const factor = { d, quantizer: factorQuantizer, rank: 0, recipe };
  return {
    correction: rank === 0 ? null : { kind: "correction", ...factor, out: rank },
    basis: gate && { kind: "basis", input, k: gate.k, d },
    projections: projections === 0 ? null : { kind: "projections", ...factor, out: projections },
  };
}

/** What a projection multiplies its input by before it knows its tier; null where it has one tier and no correction. */
export function factorsOf(
  step: Pick<Extract<Step, { kind: "project" }>, "gate" | "correction" | "exact">,
): InputFactors | null {
  const { gate, correction, exact } = step;
  if (gate === null && correction === null && exact === null) return null;
  return { correction, basis: gate?.basis ?? null, projections: exact?.source ?? null };
}

/** The factors that are there, in the order in which their products lie side by side. */
export function presentFactors(factors: InputFactors): readonly (PlainSource | QuantizedSource)[] {
  const { correction, basis, projections } = factors;
  return [correction, basis, projections].flatMap((one) => one ?? []);
}

/** Where each factor's products begin, and the width of all; begins are multiples of 8, for loads of whole units. */
export function factorPlaces({ correction, basis, projections }: InputFactors) {
  const first = roundUp(correction?.out ?? 0, 8);
  const second = first + roundUp(basis?.k ?? 0, 8);
  return {
    correction: 0,
    basis: first,
    projections: second,
    width: second + roundUp(projections?.out ?? 0, 8),
  };
}
