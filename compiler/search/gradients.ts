import type { Algebra } from "../calibrate/algebra.js";
import type { AttentionNode, Graph, LinearNode, ValueId } from "../ir/graph.js";
import type { InputGroup } from "../ir/plan.js";
import { inputsOf } from "../ir/walk.js";
import type { Weights } from "../read/weights.js";
import { attend, attentionGradients, type Tokens } from "./attention-gradient.js";
import { gradientsOf, neededOf, nodeValue, type Values } from "./derivatives.js";

/** Rows of a weight matrix that are multiplied at a time: about 32 MiB of f32. */
const chunkElements = 1 << 23;

/** What the linears of one input read and what their outputs do to the model's, over some tokens. */
export interface GroupGradients {
  readonly group: InputGroup;
  /** X [tokens, d]. */
  readonly inputs: Float32Array;
  /** By linear, [tokens, out]: an output that is wrong by y at a token costs (G y)^2 / 2 of KL. */
  readonly gradients: readonly Float32Array[];
}

/** What a backward pass reads. */
interface BackwardJob {
  readonly graph: Graph;
  readonly weights: Weights;
  readonly algebra: Algebra;
  readonly groups: readonly InputGroup[];
  /** Is told what the rows of tokens do that an embedding gives, [tokens, d], as those of linears are. */
  readonly embedding?: (gradient: Float32Array) => void;
}

/**
 * One pass forwards and one backwards over some tokens, and how every linear's output changes the model's, the last group
 * first. A small change y of the logits costs y^T F y / 2 of KL, F = diag(p) - p p^T the Fisher information of the
 * distribution p that they stand for. With random signs z, r = F^(1/2) z has E[r r^T] = F; it is sent back through the
 * graph, so that G = J^T r for the Jacobian J of the logits by the output of a linear, and E[(G y)^2] is what y costs.
 * Tokens have signs of their own: what they do to each other's logits adds up as independent. Values are kept only as
 * long as they are needed.
 */
export async function* backwardPass(
  { graph, weights, algebra, groups, embedding }: BackwardJob,
  tokens: Tokens,
  progress: (done: number, total: number) => void,
): AsyncGenerator<GroupGradients> {
  const linears = new Linears(weights, algebra, tokens.ids.length);
  const values = await forward({ graph, weights, algebra, linears }, tokens, (done) =>
    progress(done, 2 * graph.nodes.length),
  );
  const waiting = new Map<ValueId, Map<ValueId, Float32Array>>();
  const gradients = new Map<ValueId, Float32Array>();
  gradients.set(graph.output, signedRoots(values.get(graph.output)!, graph.vocabulary));
  values.delete(graph.output);
  const get = (id: ValueId) => values.get(id)!;
  for (const [index, node] of [...graph.nodes.entries()].reverse()) {
    const gradient = gradients.get(node.id);
    gradients.delete(node.id);
    values.delete(node.id);
    progress(2 * graph.nodes.length - index, 2 * graph.nodes.length);
    if (gradient === undefined) continue;
    if (node.kind === "embedding" && node.index === "token") embedding?.(gradient);
    if (node.kind !== "linear") {
      const found =
        node.kind === "attention"
          ? await throughAttention(algebra, node, tokens, get, gradient)
          : gradientsOf(node, weights, tokens, get, gradient);
      for (const [id, one] of found) addTo(gradients, id, one);
      continue;
    }
    addTo(gradients, node.input, await linears.backward(node, gradient));
    const group = groups.find(({ linears: ids }) => ids.includes(node.id));
    if (group === undefined) continue;
    const found = waiting.get(group.input) ?? new Map<ValueId, Float32Array>();
    waiting.set(group.input, found.set(node.id, gradient));
    if (found.size < group.linears.length) continue;
    waiting.delete(group.input);
    yield { group, inputs: get(group.input), gradients: group.linears.map((id) => found.get(id)!) };
  }
}

/** All values that are needed backwards, and the logits. */
async function forward(
  {
    graph,
    weights,
    algebra,
    linears,
  }: Omit<BackwardJob, "groups" | "embedding"> & { readonly linears: Linears },
  tokens: Tokens,
  progress: (done: number) => void,
): Promise<Map<ValueId, Float32Array>> {
  const values = new Map<ValueId, Float32Array>();
  const kept = new Set<ValueId>([graph.output, ...graph.nodes.flatMap(neededOf)]);
  const last = new Map<ValueId, number>();
  graph.nodes.forEach((node, index) => {
    for (const id of inputsOf(node)) last.set(id, index);
  });
  const get = (id: ValueId) => values.get(id)!;
  for (const [index, node] of graph.nodes.entries()) {
    const value =
      node.kind === "linear"
        ? await linears.forward(node, get(node.input))
        : node.kind === "attention"
          ? await attend(algebra, node, tokens, operandsOf(node, get))
          : nodeValue(node, weights, tokens, get);
    values.set(node.id, value);
    for (const id of inputsOf(node)) if (last.get(id) === index && !kept.has(id)) values.delete(id);
    progress(index + 1);
  }
  return values;
}

function operandsOf({ query, key, value }: AttentionNode, get: Values) {
  return { query: get(query), key: get(key), value: get(value) };
}

async function throughAttention(
  algebra: Algebra,
  node: AttentionNode,
  tokens: Tokens,
  get: Values,
  gradient: Float32Array,
): Promise<readonly (readonly [ValueId, Float32Array])[]> {
  const found = await attentionGradients(algebra, node, tokens, operandsOf(node, get), gradient);
  return [
    [node.query, found.query],
    [node.key, found.key],
    [node.value, found.value],
  ];
}

/** Linears both ways, some rows of their weights at a time. */
class Linears {
  constructor(
    private readonly weights: Weights,
    private readonly algebra: Algebra,
    private readonly tokens: number,
  ) {}

  /** x W^T + b. */
  async forward({ weight, bias }: LinearNode, input: Float32Array): Promise<Float32Array> {
    const { out, d } = weight;
    const result = new Float32Array(this.tokens * out);
    const added = bias === null ? null : this.weights.readVector(bias);
    for (const { first, rows, w } of this.chunks(weight)) {
      const part = await this.algebra.multiplyTransposed(input, w, this.tokens, rows, d);
      for (let token = 0; token < this.tokens; token++)
        for (let row = 0; row < rows; row++)
          result[token * out + first + row] = part[token * rows + row]! + (added?.[first + row] ?? 0);
    }
    return result;
  }

  /** The gradient of x from that of y = W x + b. */
  async backward({ weight }: LinearNode, gradient: Float32Array): Promise<Float32Array> {
    const { out, d } = weight;
    let result: Float32Array | null = null;
    for (const { first, rows, w } of this.chunks(weight)) {
      const part = new Float32Array(this.tokens * rows);
      for (let token = 0; token < this.tokens; token++)
        part.set(gradient.subarray(token * out + first, token * out + first + rows), token * rows);
      const product = await this.algebra.multiply(part, w, this.tokens, d, rows);
      if (result === null) result = product;
      else for (let i = 0; i < product.length; i++) result[i]! += product[i]!;
    }
    return result!;
  }

  private *chunks(weight: LinearNode["weight"]) {
    const step = Math.max(1, Math.floor(chunkElements / weight.d));
    for (let first = 0; first < weight.out; first += step) {
      const rows = Math.min(step, weight.out - first);
      yield { first, rows, w: this.weights.readRows(weight, first, rows) };
    }
  }
}

function addTo(gradients: Map<ValueId, Float32Array>, id: ValueId, one: Float32Array): void {
  const sum = gradients.get(id);
  if (sum === undefined) gradients.set(id, Float32Array.from(one));
  else for (let i = 0; i < one.length; i++) sum[i]! += one[i]!;
}

/** F^(1/2) z for each row of logits [tokens, vocabulary]: sqrt(p) z - p (sqrt(p) . z). */
function signedRoots(logits: Float32Array, vocabulary: number): Float32Array {
  const random = signs();
  const result = new Float32Array(logits.length);
  for (let begin = 0; begin < logits.length; begin += vocabulary) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < vocabulary; i++) largest = Math.max(largest, logits[begin + i]!);
    let total = 0;
    for (let i = 0; i < vocabulary; i++) total += Math.exp(logits[begin + i]! - largest);
    let along = 0;
    for (let i = 0; i < vocabulary; i++) {
      const root = Math.sqrt(Math.exp(logits[begin + i]! - largest) / total) * random();
      result[begin + i] = root;
      along += root;
    }
    for (let i = 0; i < vocabulary; i++) {
      const root = result[begin + i]!;
      result[begin + i] = root - root * root * along;
    }
  }
  return result;
}

/** Random signs, always the same: the upper bits of a xorshift generator (Marsaglia 2003). */
function signs(): () => 1 | -1 {
  let state = 0x67736963;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state < 0 ? -1 : 1;
  };
}
