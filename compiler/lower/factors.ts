import type { ValueId } from "../ir/graph.js";
import type { InputFactors, PlainSource, QuantizedSource, Step } from "../ir/steps.js";
import { shapeOf } from "../layout/shape.js";
import { roundUp } from "../layout/stride.js";

/** What a projection multiplies its input by before it knows its tier; null where it has one tier and no correction. */
export function factorsOf(
  step: Pick<Extract<Step, { kind: "project" }>, "gate" | "correction" | "exact" | "d">,
  input: ValueId,
): InputFactors | null {
  const { gate, correction, exact, d } = step;
  if (gate === null && correction === null && exact === null) return null;
  const basis: PlainSource | null = gate && { kind: "basis", input, k: gate.k, d };
  return { correction, basis, projections: exact?.source ?? null };
}

/** The factors that are there, in the order in which their products lie side by side. */
export function presentFactors(factors: InputFactors): readonly (PlainSource | QuantizedSource)[] {
  const { correction, basis, projections } = factors;
  return [correction, basis, projections].flatMap((one) => one ?? []);
}

/** Where each factor's products begin, and the width of all; begins are multiples of 8, for loads of whole units. */
export function factorPlaces({ correction, basis, projections }: InputFactors) {
  const first = roundUp(correction?.out ?? 0, 8);
  const second = first + roundUp(basis === null ? 0 : shapeOf(basis).out, 8);
  return {
    correction: 0,
    basis: first,
    projections: second,
    width: second + roundUp(projections?.out ?? 0, 8),
  };
}
