/**
 * Attention forwards and backwards. The heads of a window that read one key-value head are taken at once, as matrices:
 * queries Q [heads tokens, headDim], keys K and values V [tokens, headDim], scores S = scale Q K^T, shares P = softmax(S),
 * result P V.
 */
import type { Algebra } from "../calibrate/algebra.js";
import type { AttentionNode } from "../ir/graph.js";

/** Tokens, which are read in windows that begin anew. */
export interface Tokens {
  readonly ids: Int32Array;
  readonly window: number;
}

interface Operands {
  readonly query: Float32Array;
  readonly key: Float32Array;
  readonly value: Float32Array;
}

/** What attention gives: for each query the mean of the values that it sees, by softmax of its scores. */
export async function attend(
  algebra: Algebra,
  node: AttentionNode,
  tokens: Tokens,
  operands: Operands,
): Promise<Float32Array> {
  const result = new Float32Array(operands.query.length);
  for (const part of partsOf(node, tokens)) {
    const { rows, count, headDim } = part;
    const value = part.gatherShared(operands.value);
    const shares = await sharesOf(algebra, node, part, operands);
    part.scatter(await algebra.multiply(shares, value, rows, headDim, count), result);
  }
  return result;
}

/** The gradients of queries, keys and values, from that of the result; shares are computed again. */
export async function attentionGradients(
  algebra: Algebra,
  node: AttentionNode,
  tokens: Tokens,
  operands: Operands,
  gradient: Float32Array,
): Promise<Operands> {
  const [query, key, value] = [operands.query, operands.key, operands.value].map(
    ({ length }) => new Float32Array(length),
  ) as [Float32Array, Float32Array, Float32Array];
  for (const part of partsOf(node, tokens)) {
    const { rows, count, headDim } = part;
    const up = part.gather(gradient);
    const shares = await sharesOf(algebra, node, part, operands);
    part.scatterShared(await algebra.transposedMultiply(shares, up, count, headDim, rows), value);
    const values = part.gatherShared(operands.value);
    const slopes = await algebra.multiplyTransposed(up, values, rows, count, headDim);
    softmaxGradient(node.scale, shares, slopes, count);
    const [queries, keys] = [part.gather(operands.query), part.gatherShared(operands.key)];
    part.scatter(await algebra.multiply(slopes, keys, rows, headDim, count), query);
    part.scatterShared(await algebra.transposedMultiply(slopes, queries, count, headDim, rows), key);
  }
  return { query, key, value };
}

/** The heads of one window that read one key-value head; their matrices have a row for each token of each head. */
class Part {
  readonly rows: number;
  readonly headDim: number;
  private readonly heads: number;
  private readonly width: number;
  private readonly sharedWidth: number;

  constructor(
    node: AttentionNode,
    private readonly begin: number,
    readonly count: number,
    private readonly shared: number,
  ) {
    this.headDim = node.headDim;
    this.heads = node.heads / node.kvHeads;
    this.rows = this.heads * count;
    this.width = node.heads * node.headDim;
    this.sharedWidth = node.kvHeads * node.headDim;
  }

  gather(values: Float32Array): Float32Array {
    const matrix = new Float32Array(this.rows * this.headDim);
    this.each((row, at) => matrix.set(values.subarray(at, at + this.headDim), row * this.headDim));
    return matrix;
  }

  scatter(matrix: Float32Array, values: Float32Array): void {
    const { headDim } = this;
    this.each((row, at) => values.set(matrix.subarray(row * headDim, (row + 1) * headDim), at));
  }

  gatherShared(values: Float32Array): Float32Array {
    const matrix = new Float32Array(this.count * this.headDim);
    for (let t = 0; t < this.count; t++)
      matrix.set(values.subarray(this.sharedAt(t), this.sharedAt(t) + this.headDim), t * this.headDim);
    return matrix;
  }

  scatterShared(matrix: Float32Array, values: Float32Array): void {
    const { headDim } = this;
    for (let t = 0; t < this.count; t++)
      values.set(matrix.subarray(t * headDim, (t + 1) * headDim), this.sharedAt(t));
  }

  private each(use: (row: number, at: number) => void): void {
    for (let head = 0; head < this.heads; head++)
      for (let t = 0; t < this.count; t++)
        use(
          head * this.count + t,
          (this.begin + t) * this.width + (this.shared * this.heads + head) * this.headDim,
        );
  }

  private sharedAt(t: number): number {
    return (this.begin + t) * this.sharedWidth + this.shared * this.headDim;
  }
}

function* partsOf(node: AttentionNode, { ids, window }: Tokens): Generator<Part> {
  for (let begin = 0; begin < ids.length; begin += window)
    for (let shared = 0; shared < node.kvHeads; shared++)
      yield new Part(node, begin, Math.min(window, ids.length - begin), shared);
}

/** P of a part, zero for tokens that a query does not see. */
async function sharesOf(
  algebra: Algebra,
  { scale, window }: AttentionNode,
  part: Part,
  { query, key }: Operands,
): Promise<Float32Array> {
  const { rows, count, headDim } = part;
  const scores = await algebra.multiplyTransposed(
    part.gather(query),
    part.gatherShared(key),
    rows,
    count,
    headDim,
  );
  for (let row = 0; row < rows; row++) {
    const [at, token] = [row * count, row % count];
    const first = window === null ? 0 : Math.max(0, token + 1 - window);
    let largest = Number.NEGATIVE_INFINITY;
    for (let t = first; t <= token; t++) largest = Math.max(largest, scale * scores[at + t]!);
    let total = 0;
    for (let t = first; t <= token; t++) {
      scores[at + t] = Math.exp(scale * scores[at + t]! - largest);
      total += scores[at + t]!;
    }
    for (let t = first; t <= token; t++) scores[at + t]! /= total;
    scores.fill(0, at, at + first).fill(0, at + token + 1, at + count);
  }
  return scores;
}

/** The gradient of Q K^T from that of the shares, in the place of the latter. */
function softmaxGradient(scale: number, shares: Float32Array, slopes: Float32Array, count: number): void {
  for (let at = 0; at < shares.length; at += count) {
    let mean = 0;
    for (let t = 0; t < count; t++) mean += shares[at + t]! * slopes[at + t]!;
    for (let t = 0; t < count; t++) slopes[at + t] = scale * shares[at + t]! * (slopes[at + t]! - mean);
  }
}
