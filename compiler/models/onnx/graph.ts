import type { Graph, MatrixRef, Node, ValueId, VectorRef } from "../../ir/graph.js";
import { idInLayer } from "../../ir/walk.js";
import { elementTypeOf } from "../../read/onnx-tensor.js";
import type { Base, Heads, Stored, Vector } from "./value.js";
import { Unmatched } from "./value.js";

type Of<Op extends Base["op"]> = Extract<Base, { readonly op: Op }>;

/** The node ids and the layers of bases, as the families name them. */
interface Place {
  readonly name: string;
  readonly layer: number | null;
}

/** A node without its place. */
type Unplaced<N extends Node = Node> = N extends Node ? Omit<N, "id" | "layer"> : never;

/** Nodes for all that the logits follow from, in order of execution, named by what they are for. */
export function nodesOf(output: Base): { readonly nodes: readonly Node[]; readonly output: ValueId } {
  return new Wiring(output).graph();
}

class Wiring {
  private readonly nodes: Node[] = [];
  private readonly ids = new Map<Base, ValueId>();
  private readonly used = new Set<ValueId>();
  /** Numbers that were given to nodes of one name, so far. */
  private readonly copies = new Map<ValueId, number>();
  private readonly order: readonly Base[];
  private readonly readers = new Map<Base, Base[]>();
  /** How many attentions lie before a base, itself included. */
  private readonly depths = new Map<Base, number>();
  private readonly joins = new Map<Base, number>();

  constructor(private readonly output: Base) {
    this.order = inOrder(output);
    for (const base of this.order) {
      const inputs = inputsOf(base);
      for (const input of inputs) this.readers.set(input, [...(this.readers.get(input) ?? []), base]);
      const depth = Math.max(0, ...inputs.map((input) => this.depths.get(input)!));
      this.depths.set(base, depth + (base.op === "attention" ? 1 : 0));
    }
    for (const base of [...this.order].reverse()) this.joins.set(base, this.joinOf(base));
  }

  /** How many attentions lie before the attention or the sum that a base flows into first, itself included. */
  private joinOf(base: Base): number {
    if (base.op === "add" || base.op === "attention") return this.depths.get(base)!;
    const readers = this.readers.get(base) ?? [];
    return Math.min(Number.POSITIVE_INFINITY, ...readers.map((reader) => this.joins.get(reader)!));
  }

  graph(): { readonly nodes: readonly Node[]; readonly output: ValueId } {
    for (const base of this.order) this.ids.set(base, this.place(base));
    return { nodes: this.nodes, output: this.ids.get(this.output)! };
  }

  private place(base: Base): ValueId {
    const place = this.placeOf(base);
    if (base.op !== "attention") return this.push(place, this.nodeOf(base));
    const { query, key, value, scale, window } = base;
    return this.push(place, {
      ...{ kind: "attention", query: this.heads(query, "query", place), key: this.heads(key, "key", place) },
      ...{ value: this.heads(value, "value", place), heads: query.count, kvHeads: key.count },
      ...{ headDim: query.headDim, scale, window, cache: "f32" },
    });
  }

  /** Query, key or value as attention reads it: rotated, where it is. */
  private heads({ base, count, headDim, rotation }: Heads, part: string, { layer }: Place): ValueId {
    const input = this.ids.get(base)!;
    if (rotation === null) return input;
    return this.push(
      { name: `${part}_rope`, layer },
      { kind: "rope", input, heads: count, headDim, ...rotation },
    );
  }

  private nodeOf(base: Exclude<Base, Of<"attention">>): Unplaced {
    const id = (input: Base) => this.ids.get(input)!;
    switch (base.op) {
      case "embedding":
        return {
          kind: "embedding",
          index: base.index,
          table: matrixOf(base.table),
          offset: base.offset,
          scale: base.scale,
        };
      case "norm": {
        const { method, heads, epsilon } = base;
        if (base.gain === null) throw new Unmatched("a norm without a gain");
        const bias = base.bias && vectorOf(base.bias);
        return {
          kind: "norm",
          input: id(base.input),
          method,
          heads,
          gain: vectorOf(base.gain),
          bias,
          epsilon,
        };
      }
      case "linear": {
        const { weight, first, width } = base;
        const matrix = { ...matrixOf(weight, true), out: width, first };
        return {
          kind: "linear",
          input: id(base.input),
          weight: matrix,
          bias: base.bias && vectorOf(base.bias),
        };
      }
      case "activation":
        return { kind: "activation", input: id(base.input), function: base.function };
      case "add":
      case "multiply": {
        // As the families do: what is added to, or the activated half, first.
        const isLate = ({ op, ...rest }: Base) =>
          op === "linear" || op === "norm" || ("index" in rest && rest.index === "position");
        const [left, right] =
          isLate(base.left) && !isLate(base.right) ? [base.right, base.left] : [base.left, base.right];
        return { kind: base.op, left: id(left), right: id(right) };
      }
      case "centered":
        throw new Unmatched("vectors less their means, which are not normalised");
      default:
        return base satisfies never;
    }
  }

  private push({ name, layer }: Place, node: Unplaced): ValueId {
    const first = idInLayer(layer, name);
    let id = first;
    for (let copy = (this.copies.get(first) ?? 1) + 1; this.used.has(id); copy++) {
      id = idInLayer(layer, `${name}_${copy}`);
      this.copies.set(first, copy);
    }
    this.used.add(id);
    this.nodes.push({ ...node, id, layer });
    return id;
  }

  /** What a base is called, and its layer: that of the attention or the sum that it flows into. */
  private placeOf(base: Base): Place {
    const join = this.joins.get(base)!;
    const layer = join > 0 && join < Number.POSITIVE_INFINITY ? join - 1 : null;
    const readers = this.readers.get(base) ?? [];
    const attention = readers.find((reader) => reader.op === "attention");
    const activation = readers.find((reader) => reader.op === "activation");
    if (base === this.output) return { name: "logits", layer: null };
    switch (base.op) {
      case "embedding":
        return { name: base.index === "token" ? "tokens" : "positions", layer: null };
      case "norm":
        return { name: this.normName(base, readers, attention), layer };
      case "linear": {
        const norm = readers.find((reader) => reader.op === "norm" && this.attentionOf(reader));
        if (attention !== undefined) return { name: partOf(base, attention), layer };
        if (norm !== undefined) return { name: partOf(norm, this.attentionOf(norm)), layer };
        if (base.input.op === "attention") return { name: "attention_out", layer };
        if (base.input.op === "activation" || base.input.op === "multiply") return { name: "down", layer };
        const isGate = activation && this.readers.get(activation)?.some(({ op }) => op === "multiply");
        return { name: isGate ? "gate" : "up", layer };
      }
      case "attention":
      case "activation":
      case "centered":
        return { name: base.op, layer };
      case "multiply":
        return { name: "mlp", layer };
      case "add": {
        const terms = [base.left, base.right];
        if (layer === null) return { name: "embedded", layer };
        const names = terms.map((term) => this.placeOf(term).name);
        const isAttention = names.some((name) => name === "attention_out" || name === "attention_post_norm");
        return { name: `${isAttention ? "attention" : "mlp"}_residual`, layer };
      }
      default:
        return base satisfies never;
    }
  }

  private normName(base: Of<"norm">, readers: readonly Base[], attention: Base | undefined): string {
    if (attention !== undefined) return `${partOf(base, attention)}_norm`;
    const forAttention = readers.filter((reader) => this.leadsToAttention(reader));
    if (forAttention.length > 0)
      return forAttention.length < readers.length && readers.every(({ op }) => op === "linear")
        ? "norm"
        : "attention_norm";
    if (base.input.op === "linear")
      return this.placeOf(base.input).name === "down" ? "mlp_post_norm" : "attention_post_norm";
    return readers.includes(this.output) ? "final_norm" : "mlp_norm";
  }

  private attentionOf(base: Base): Base | undefined {
    return this.readers.get(base)?.find((reader) => reader.op === "attention");
  }

  private leadsToAttention(base: Base): boolean {
    const readers = this.readers.get(base) ?? [];
    return readers.some(
      (reader) => reader.op === "attention" || (reader.op === "norm" && this.attentionOf(reader)),
    );
  }
}

function partOf(base: Base, attention: Base | undefined): "query" | "key" | "value" {
  if (attention?.op !== "attention") throw new Unmatched("norms of heads that no attention reads");
  const { query, key } = attention;
  return query.base === base ? "query" : key.base === base ? "key" : "value";
}

function inputsOf(base: Base): readonly Base[] {
  switch (base.op) {
    case "embedding":
      return [];
    case "attention":
      return [base.query.base, base.key.base, base.value.base];
    case "add":
    case "multiply":
      return [base.left, base.right];
    default:
      return [base.input];
  }
}

/** All bases that one follows from, and itself, each behind its inputs. */
function inOrder(output: Base): readonly Base[] {
  const done = new Set<Base>();
  const stack = [output];
  while (stack.length > 0) {
    const base = stack.at(-1)!;
    const missing = inputsOf(base).filter((input) => !done.has(input));
    if (missing.length > 0) stack.push(...missing.reverse());
    else done.add(stack.pop()!);
  }
  return [...done];
}

/** A stored matrix; of a linear [d, out], of an embedding [rows, width]. */
function matrixOf({ tensor, shape, transposed }: Stored, isLinear = false): MatrixRef {
  const [rows, columns] = shape as [number, number];
  const dtype = elementTypeOf(tensor.typeNumber);
  if (dtype !== "f32" && dtype !== "f16" && dtype !== "bf16") throw new Unmatched(`a matrix of ${dtype}`);
  const [out, d] = isLinear ? [columns, rows] : [rows, columns];
  return { tensor: tensor.name, dtype, out, d, transposed: isLinear !== transposed, first: 0 };
}

function vectorOf({ tensor, first, length, plus }: Vector): VectorRef {
  return { tensor: tensor.name, length, first, ...(plus === 0 ? {} : { plus }) };
}

/** The family that a graph is wired like. */
export function familyOf(nodes: Graph["nodes"]): string {
  const has = (test: (node: Node) => boolean) => nodes.some(test);
  if (has((node) => node.kind === "norm" && node.method === "layer")) {
    if (has((node) => node.kind === "rope")) return "gptj";
    return has((node) => node.kind === "activation" && node.function === "relu") ? "opt" : "gpt2";
  }
  if (has((node) => /_post_norm$/.test(node.id))) return "gemma3_text";
  if (has((node) => node.kind === "norm" && node.heads > 1)) return "qwen3";
  if (has((node) => node.kind === "linear" && node.bias !== null && /query$/.test(node.id))) return "qwen2";
  return has((node) => node.kind === "attention" && node.window !== null) ? "mistral" : "llama";
}
