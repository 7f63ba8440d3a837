import { factorQuantizer } from "../ir/forms.js";
import type { Graph, LinearNode, ValueId } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import type { QuantizedSource } from "../ir/steps.js";
import { dequantized, type LowRank, type QuantizedMatrix } from "../layout/quantizer.js";
import type { FactorSource } from "../pack/weights.js";
import { asHalf } from "../read/dequantize.js";
import type { Weights } from "../read/weights.js";
import { dot, evaluateNode, type Value } from "./reference.js";

/** What the oracle makes of a plan in bounded mode. */
export interface PlanValues {
  /** [tokens, vocabulary]. */
  readonly logits: Float64Array;
  /** ||x - V g|| / ||x|| of every token, by input with a subspace gate. */
  readonly rho: ReadonlyMap<ValueId, Float64Array>;
  /** ||S x|| / ||x|| of every token, by input with an exact tier. */
  readonly predicted: ReadonlyMap<ValueId, Float64Array>;
  /** How many of the first tokens have no decision so near its threshold that kernels may decide otherwise. */
  readonly certain: number;
}

/** How a plan is evaluated. */
export interface PlanOptions {
  /** How far activations of kernels may be from the oracle's, as a fraction of their length; default 0. */
  readonly tolerance?: number;
  readonly progress?: (done: number, total: number) => void;
}

/** What a gate compares, token by token, with its threshold: closed below. */
interface Decisions {
  readonly ratios: Float64Array;
  readonly threshold: number;
  /** How much a change of x by its own length, in a random direction, changes the ratio. */
  readonly spread: number;
}

/** What the tier at few bits of a linear is made from. */
interface TierSources {
  readonly quantized: QuantizedSource;
  readonly correction: QuantizedSource | null;
  readonly exact: QuantizedSource | null;
}

/**
 * The oracle of a plan in bounded mode: every linear in its form, from the same factors as the bundle, all values in
 * float64. Slow on purpose, as `evaluateGraph` is. A decision is near if it may change with x by `tolerance` ||x||.
 */
export async function evaluatePlan(
  plan: Plan,
  weights: Weights,
  ids: readonly number[],
  factors: FactorSource,
  { tolerance, progress }: PlanOptions = {},
): Promise<PlanValues> {
  const values = new Map<ValueId, Value>();
  const rho = new Map<ValueId, Float64Array>();
  const predicted = new Map<ValueId, Float64Array>();
  let certain = ids.length;
  for (const [index, node] of plan.graph.nodes.entries()) {
    const y = evaluateNode(node, weights, ids, values);
    values.set(node.id, y);
    progress?.(index + 1, plan.graph.nodes.length);
    if (node.kind !== "linear") continue;
    const [first, second] = await applyForm(plan, node, values.get(node.input)!, y, weights, factors);
    if (first !== null) rho.set(node.input, first.ratios);
    if (second !== null) predicted.set(node.input, second.ratios);
    certain = Math.min(certain, certainTokens(ids.length, first, second, tolerance ?? 0));
  }
  return { logits: values.get(plan.graph.output)!.data, rho, predicted, certain };
}

/** y of one linear in its form, [n, out] for x [n, d], and how many of the first rows are certain, as `evaluatePlan`. */
export async function evaluateLinear(
  plan: Plan,
  node: LinearNode,
  x: Float64Array,
  weights: Weights,
  factors: FactorSource,
  tolerance = 0,
): Promise<{ y: Float64Array; certain: number }> {
  const input = { width: node.weight.d, data: x };
  const y = evaluateNode(node, weights, [], new Map([[node.input, input]]));
  const [first, second] = await applyForm(plan, node, input, y, weights, factors);
  return { y: y.data, certain: certainTokens(x.length / input.width, first, second, tolerance) };
}

/** Puts what a linear's form computes in the place of W x + b; returns what its gates decide, the subspace's first. */
async function applyForm(
  plan: Plan,
  node: LinearNode,
  input: Value,
  y: Value,
  weights: Weights,
  factors: FactorSource,
): Promise<readonly [Decisions | null, Decisions | null]> {
  const bias = node.bias === null ? null : weights.readVector(node.bias);
  const tier = await evaluateTier(plan, node, input, factors);
  if (tier !== null) replace(y, tier.decisions, tier.products, bias);
  const subspace = await evaluateSubspace(plan, node, input, factors);
  if (subspace !== null) replace(y, subspace.decisions, subspace.products, bias);
  return [subspace?.decisions ?? null, tier?.decisions ?? null];
}

/** Puts M g, or Q x + A (B^T x), in the place of the tokens whose gate is closed; of all without a gate. */
function replace(
  { width, data }: Value,
  gate: Decisions | null,
  products: Float64Array,
  bias: Float32Array | null,
): void {
  for (let i = 0; i < data.length; i++) {
    const token = Math.floor(i / width);
    if (gate === null || isClosed(gate, token)) data[i] = products[i]! + (bias?.[i % width] ?? 0);
  }
}

function isClosed({ ratios, threshold }: Decisions, token: number): boolean {
  return ratios[token]! < threshold;
}

/** How many of the first tokens have no near decision; the second gate decides where the first is open. */
function certainTokens(
  count: number,
  first: Decisions | null,
  second: Decisions | null,
  tolerance: number,
): number {
  for (let token = 0; token < count; token++) {
    if (first !== null && isNear(first, token, tolerance)) return token;
    const decided = first !== null && isClosed(first, token);
    if (second !== null && !decided && isNear(second, token, tolerance)) return token;
  }
  return count;
}

/** Whether x may be decided otherwise when `tolerance` of its length is added to it in a random direction. */
function isNear({ ratios, threshold, spread }: Decisions, token: number, tolerance: number): boolean {
  const ratio = ratios[token]!;
  return Math.abs(ratio - threshold) <= tolerance * (ratio + spread);
}

/** M g, with g = V^T x, and the gate of ||x - V g|| / ||x||; null where the form has none. */
async function evaluateSubspace(
  plan: Plan,
  node: LinearNode,
  { data, width }: Value,
  factors: FactorSource,
): Promise<{ products: Float64Array; decisions: Decisions } | null> {
  const gate = plan.linears.get(node.id)!.form.gate;
  if (gate === null) return null;
  const basis = await factors.basis(node.input, gate.k);
  const g = product(data, width, basis);
  const image = asHalf(await wholeImage(factors.image(node.id, gate.k)));
  const ratios = residualRatios(data, width, basis, g);
  return { products: product(g, gate.k, image), decisions: { ratios, threshold: gate.epsilon, spread: 1 } };
}

/** Q x + A (B^T x), and the gate of ||S x|| / ||x|| where there is one; null where the form has no tier at few bits. */
async function evaluateTier(
  plan: Plan,
  node: LinearNode,
  { data, width }: Value,
  factors: FactorSource,
): Promise<{ products: Float64Array; decisions: Decisions | null } | null> {
  const tier = plan.linears.get(node.id)!.form.tier;
  if (tier === null) return null;
  const { quantized, correction, exact } = tierSources(plan, node)!;
  const { matrix, lowRank } = await factors.quantized(quantized);
  const products = quantizedProduct(data, quantized, matrix);
  if (lowRank !== null && correction !== null) {
    const b = (await factors.quantized(correction)).matrix;
    const g = quantizedProduct(data, correction, b);
    const corrected = product(g, quantized.rank, lowRankValues(lowRank));
    for (let i = 0; i < products.length; i++) products[i]! += corrected[i]!;
  }
  if (exact === null || tier.exact === null) return { products, decisions: null };
  const s = (await factors.quantized(exact)).matrix;
  const ratios = errorRatios(data, width, quantizedProduct(data, exact, s));
  const elements = dequantized(s, exact.quantizer, width);
  const spread = Math.sqrt(dot(elements, elements) / width);
  return { products, decisions: { ratios, threshold: tier.exact.threshold, spread } };
}

/**
 * Q with A, B and S of a linear, as its form asks for them; null where the form has no tier at few bits. B and S are made
 * together with the Q of all linears that read the same value. Said here again, from graph and forms alone: what the
 * lowering says of it is what the oracle checks.
 */
export function tierSources({ graph, linears }: Plan, node: LinearNode): TierSources | null {
  const tier = linears.get(node.id)!.form.tier;
  if (tier === null) return null;
  const { quantizer, rank, exact } = tier;
  const { out, d } = node.weight;
  const readers = readersOf(graph, node.input);
  const recipe = {
    input: node.input,
    linears: readers.map(({ id }) => id),
    quantizers: readers.flatMap(({ id }) => linears.get(id)!.form.tier?.quantizer ?? []),
    rank,
    projections: exact?.projections ?? 0,
  };
  const shared = (rows: number) => ({ out: rows, d, quantizer: factorQuantizer, rank: 0, recipe });
  return {
    quantized: { kind: "quantized", linear: node.id, out, d, quantizer, rank, recipe },
    correction: rank === 0 ? null : { kind: "correction", ...shared(rank) },
    exact: exact === null ? null : { kind: "projections", ...shared(exact.projections) },
  };
}

/** The linears that read a value. */
function readersOf({ nodes }: Graph, input: ValueId): LinearNode[] {
  return nodes.flatMap((node) => (node.kind === "linear" && node.input === input ? [node] : []));
}

/** ||S x|| / ||x|| of every row of X [n, d], from S x. */
function errorRatios(data: Float64Array, d: number, projected: Float64Array): Float64Array {
  const count = data.length / d;
  const rows = projected.length / count;
  return Float64Array.from({ length: count }, (_, token) => {
    const x = data.subarray(token * d, (token + 1) * d);
    const sx = projected.subarray(token * rows, (token + 1) * rows);
    return Math.sqrt(dot(sx, sx) / dot(x, x));
  });
}

/** ||x - V g|| / ||x|| of every row of X [n, d]. */
function residualRatios(data: Float64Array, d: number, basis: Float32Array, g: Float64Array): Float64Array {
  const k = basis.length / d;
  return Float64Array.from({ length: data.length / d }, (_, token) => {
    const x = data.subarray(token * d, (token + 1) * d);
    const residual = x.map((value, i) => {
      let sum = value;
      for (let row = 0; row < k; row++) sum -= basis[row * d + i]! * g[token * k + row]!;
      return sum;
    });
    return Math.sqrt(dot(residual, residual) / dot(x, x));
  });
}

/** X Q^T, [n, out], for X [n, d]; one row of Q is dequantised at a time. */
function quantizedProduct(
  x: Float64Array,
  { out, d, quantizer }: QuantizedSource,
  { q, scales, zeros, rowScales }: QuantizedMatrix,
): Float64Array {
  const groups = scales.length / out;
  const data = new Float64Array((x.length / d) * out);
  for (let row = 0; row < out; row++) {
    const [from, to] = [row * groups, (row + 1) * groups];
    const part = {
      q: q.subarray(row * d, (row + 1) * d),
      scales: scales.subarray(from, to),
      zeros: zeros?.subarray(from, to) ?? null,
      rowScales: rowScales.subarray(row, row + 1),
    };
    const w = dequantized(part, quantizer, d);
    for (let token = 0; token * d < x.length; token++) {
      data[token * out + row] = dot(w, x.subarray(token * d, (token + 1) * d));
    }
  }
  return data;
}

/** X B^T, [n, m], for X [n, inner] and B [m, inner]. */
export function product(x: ArrayLike<number>, inner: number, b: ArrayLike<number>): Float64Array {
  const width = b.length / inner;
  const data = new Float64Array((x.length / inner) * width);
  for (let i = 0; i < data.length; i++) {
    const [row, column] = [Math.floor(i / width), i % width];
    let sum = 0;
    for (let j = 0; j < inner; j++) sum += x[row * inner + j]! * b[column * inner + j]!;
    data[i] = sum;
  }
  return data;
}

/** The values of A, [out, rank]. */
function lowRankValues({ a, scales }: LowRank): Float64Array {
  const rank = a.length / scales.length;
  return Float64Array.from(a, (value, i) => value * scales[Math.floor(i / rank)]!);
}

/** An image [out, k], of which a source gives runs of rows. */
export async function wholeImage(runs: AsyncIterable<Float32Array>): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for await (const run of runs) parts.push(run.slice());
  const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let begin = 0;
  for (const part of parts) {
    values.set(part, begin);
    begin += part.length;
  }
  return values;
}
