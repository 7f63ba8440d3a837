/** Helpers of the tests of tiers at few bits: matrices whose every number is known, and their oracle in float64. */

import { isDeepStrictEqual } from "node:util";
import { factorQuantizer, isDenseForm } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { Form, Plan, Quantizer } from "../ir/plan.js";
import type { QuantizedSource } from "../ir/steps.js";
import type { LowRank, QuantizedLinear, QuantizedMatrix } from "../layout/quantizer.js";
import { evaluateNode, type Value } from "../oracle/reference.js";
import { tierSources, wholeImage } from "../oracle/reference-plan.js";
import type { FactorSource } from "../pack/weights.js";
import { asHalf } from "../read/dequantize.js";
import type { Weights } from "../read/weights.js";
import { dot, gaussian } from "./kernels.js";

/** A matrix of any integers, scales of both signs, and row scales of every size, zero among them. */
export function randomQuantized(
  out: number,
  d: number,
  { bits, group, symmetric }: Quantizer,
  seed: number,
): QuantizedMatrix {
  const random = gaussian(seed);
  const below = (count: number) => Math.floor(Math.abs(random()) * 1e6) % count;
  const groups = Math.ceil(d / group);
  const sizes = [1e-3, 1e-30, 0, 1e3];
  return {
    q: Uint8Array.from({ length: out * d }, () => below(2 ** bits)),
    scales: Int8Array.from({ length: out * groups }, () => below(255) - 127),
    zeros: symmetric ? null : Uint8Array.from({ length: out * groups }, () => below(2 ** bits)),
    rowScales: Float32Array.from({ length: out }, (_, row) => (row === 0 ? 1 : random() * sizes[row % 4]!)),
  };
}

export function randomLowRank(out: number, rank: number, seed: number): LowRank {
  const random = gaussian(seed);
  return {
    a: Int8Array.from({ length: out * rank }, () => (Math.floor(Math.abs(random()) * 1e6) % 255) - 127),
    scales: Float32Array.from({ length: out }, () => 1e-2 * random()),
  };
}

/** The weights of a matrix as the formula of layout/quantizer.ts has them; `magnitudes` has |q| and |zero| added, as stored. */
export function dequantized(matrix: QuantizedMatrix, out: number, d: number, { bits, group }: Quantizer) {
  const groups = Math.ceil(d / group);
  const weights = new Float64Array(out * d);
  const magnitudes = new Float64Array(out * d);
  // Eight bits are stored less 128.
  const offset = bits === 8 ? 128 : 0;
  for (let i = 0; i < weights.length; i++) {
    const row = Math.floor(i / d);
    const place = row * groups + Math.floor((i % d) / group);
    const scale = matrix.rowScales[row]! * matrix.scales[place]!;
    const zero = matrix.zeros === null ? 2 ** (bits - 1) : matrix.zeros[place]!;
    weights[i] = scale * (matrix.q[i]! - zero);
    magnitudes[i] = Math.abs(scale) * (Math.abs(matrix.q[i]! - offset) + Math.abs(zero - offset));
  }
  return { weights, magnitudes };
}

/** X W^T for X [n, d] and W [out, d]. */
export function times(x: ArrayLike<number>, weights: ArrayLike<number>, d: number): Float64Array {
  const [n, out] = [x.length / d, weights.length / d];
  const y = new Float64Array(n * out);
  for (let t = 0; t < n; t++) {
    for (let row = 0; row < out; row++) {
      let sum = 0;
      for (let i = 0; i < d; i++) sum += weights[row * d + i]! * x[t * d + i]!;
      y[t * out + row] = sum;
    }
  }
  return y;
}

/** Factors whose quantised matrices are given by a function of what is asked for, once each. */
export function withQuantized(
  factors: FactorSource,
  make: (source: QuantizedSource, seed: number) => QuantizedLinear,
): FactorSource {
  const known: (readonly [source: QuantizedSource, made: QuantizedLinear])[] = [];
  return {
    ...factors,
    quantized: async (source) => {
      const found = known.find(([one]) => isDeepStrictEqual(one, source));
      if (found !== undefined) return found[1];
      const made = make(source, known.length + 1);
      known.push([source, made]);
      return made;
    },
  };
}

/** What the tiers of a linear of `form` compute for inputs [n, d], before the bias. */
export interface TierInputs {
  readonly form: Form;
  readonly d: number;
  readonly out: number;
  readonly x: ArrayLike<number>;
  /** V^T [k, d]; M [out, k]. */
  readonly basis: ArrayLike<number>;
  readonly image: ArrayLike<number>;
  readonly quantized: QuantizedLinear | null;
  readonly correction: QuantizedMatrix | null;
  readonly projections: QuantizedMatrix | null;
  /** W x, [n, out]. */
  readonly dense: ArrayLike<number>;
}

/** Values, and what the gates' decisions compare with their limits, token by token; 0 over 0 counts as below. */
export function evaluateTiers(inputs: TierInputs) {
  const { form, d, out, x, basis, image, quantized, correction, projections, dense } = inputs;
  const [subspace, tier] = [form.gate, form.tier];
  const n = x.length / d;
  const row = (values: ArrayLike<number>, t: number, width: number) =>
    Array.prototype.slice.call(values, t * width, (t + 1) * width) as number[];
  const coordinates = times(x, basis, d);
  const along = times(coordinates, image, subspace?.k ?? 1);
  const few = new Float64Array(n * out);
  if (tier !== null && quantized !== null) {
    const { quantizer, rank } = tier;
    few.set(times(x, dequantized(quantized.matrix, out, d, quantizer).weights, d));
    if (rank > 0) {
      const g = times(x, dequantized(correction!, rank, d, factorQuantizer).weights, d);
      const { a, scales } = quantized.lowRank!;
      times(g, a, rank).forEach((value, i) => {
        few[i]! += scales[i % out]! * value;
      });
    }
  }
  const measured: { rho: number | null; error: number | null }[] = [];
  const y = new Float64Array(n * out);
  for (let t = 0; t < n; t++) {
    const input = row(x, t, d);
    const norm = Math.sqrt(dot(input, input));
    const g = row(coordinates, t, subspace?.k ?? 0);
    const residual = input.map(
      (value, i) => value - g.reduce((sum, one, j) => sum + one * basis[j * d + i]!, 0),
    );
    const rho = subspace === null ? null : norm === 0 ? 0 : Math.sqrt(dot(residual, residual)) / norm;
    const closed = rho !== null && rho < subspace!.epsilon;
    let error: number | null = null;
    if (!closed && tier?.exact) {
      const p = times(
        input,
        dequantized(projections!, tier.exact.projections, d, factorQuantizer).weights,
        d,
      );
      error = norm === 0 ? 0 : Math.sqrt(dot(p, p)) / norm;
    }
    measured.push({ rho, error });
    const exact = tier === null || (error !== null && !(error < tier.exact!.threshold));
    const from = closed ? along : exact ? dense : few;
    for (let i = 0; i < out; i++) y[t * out + i] = from[t * out + i]!;
  }
  return { y, measured };
}

/** The oracle of a plan in bounded mode: its logits, and what every gate compared, by the id of the input. */
export async function evaluateTieredPlan(
  plan: Plan,
  weights: Weights,
  ids: readonly number[],
  factors: FactorSource,
) {
  const values = new Map<ValueId, Value>();
  const measured = new Map<ValueId, ReturnType<typeof evaluateTiers>["measured"]>();
  for (const node of plan.graph.nodes) {
    const dense = evaluateNode(node, weights, ids, values);
    values.set(node.id, dense);
    if (node.kind !== "linear") continue;
    const { form } = plan.linears.get(node.id)!;
    if (isDenseForm(form)) continue;
    const sources = tierSources(plan, node);
    const quantizedOf = async (source: QuantizedSource | null | undefined) =>
      source == null ? null : factors.quantized(source);
    const k = form.gate?.k ?? 0;
    const bias = node.bias === null ? new Float32Array(dense.width) : weights.readVector(node.bias);
    const { data: x, width: d } = values.get(node.input)!;
    const found = evaluateTiers({
      form,
      d,
      out: dense.width,
      x,
      basis: k === 0 ? [] : await factors.basis(node.input, k),
      image: k === 0 ? [] : asHalf(await wholeImage(factors.image(node.id, k))),
      quantized: await quantizedOf(sources?.quantized),
      correction: (await quantizedOf(sources?.correction))?.matrix ?? null,
      projections: (await quantizedOf(sources?.exact))?.matrix ?? null,
      dense: dense.data.map((value, i) => value - bias[i % dense.width]!),
    });
    dense.data.set(found.y.map((value, i) => value + bias[i % dense.width]!));
    measured.set(node.input, found.measured);
  }
  return { logits: values.get(plan.graph.output)!.data, measured };
}

/** Tokens whose gates are closed and open, both gates of an input counted. */
export function countGates(
  form: Form,
  measured: readonly { readonly rho: number | null; readonly error: number | null }[],
) {
  const [subspace, tier] = [form.gate, form.tier];
  let [fast, slow, nearest] = [0, 0, Number.POSITIVE_INFINITY];
  const count = (value: number | null, limit: number | undefined) => {
    if (value === null || limit === undefined) return;
    if (value < limit) fast++;
    else slow++;
    nearest = Math.min(nearest, Math.abs(value / limit - 1));
  };
  for (const { rho, error } of measured) {
    count(rho, subspace?.epsilon);
    count(error, tier?.exact?.threshold);
  }
  return { fast, slow, nearest };
}
