import type { ActivationFunction } from "../../ir/graph.js";
import { erf } from "../../support/erf.js";

/** The functions that gsic has, as the graph's are compared with them. */
const functions: Readonly<Record<ActivationFunction, (x: number) => number>> = {
  gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  gelu_tanh: (x) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2,
  silu: (x) => x / (1 + Math.exp(-x)),
  relu: (x) => Math.max(0, x),
};

/** Where functions are compared: between them GELU and its approximation by tanh differ by 5e-4. */
const places = Array.from({ length: 81 }, (_, i) => (i - 40) / 5);

/** Constants in files are rounded, to halves at worst. */
const tolerance = 5e-5;

/** The activation function that this is, however it is computed; null: none that gsic has. */
export function activationOf(fn: (x: number) => number): ActivationFunction | null {
  for (const [name, known] of Object.entries(functions))
    if (places.every((x) => Math.abs(fn(x) - known(x)) <= tolerance * Math.max(1, Math.abs(x))))
      return name as ActivationFunction;
  return null;
}

/** The epsilon of a norm that divides by this function of the mean square: x -> 1 / sqrt(x + epsilon); null: another. */
export function epsilonOf(fn: (x: number) => number): number | null {
  const epsilon = roundedNumber(1 / fn(0) ** 2);
  const fits = (x: number) => Math.abs(fn(x) * Math.sqrt(x + epsilon) - 1) <= 1e-4;
  return epsilon > 0 && epsilon < 1 && [0, 0.01, 1, 30].every(fits) ? epsilon : null;
}

/** A number with the fewest digits that is this one, but for its rounding in a file. */
export function roundedNumber(value: number, tolerance = 1e-6): number {
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.abs(short - value) <= tolerance * Math.abs(value)) return short;
  }
  return value;
}
