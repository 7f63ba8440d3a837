import type {
  ActivationFunction,
  AttentionNode,
  MatrixRef,
  Node,
  RopeNode,
  ValueId,
  VectorRef,
} from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { GsicError } from "../support/errors.js";

/** A linear's place among the tensors: its name without `.weight`, and how the file stores it. */
export interface LinearPlace {
  readonly tensor: string;
  readonly out: number;
  readonly d: number;
  readonly transposed?: boolean;
  /** First row within a fused tensor, and all of that tensor's rows. */
  readonly part?: { readonly first: number; readonly of: number };
  readonly bias: boolean;
}

export interface RmsNormShape {
  readonly width: number;
  readonly epsilon: number;
  readonly heads?: number;
  readonly plus?: number;
}

/** The output head's place: its tensor without `.weight`, and the token embedding [vocabulary, d]. */
export interface HeadPlace {
  readonly tensor: string;
  readonly table: MatrixRef;
  readonly tied: boolean;
  readonly bias?: boolean;
}

/**
 * Collects a graph's nodes while it checks each tensor that they name. Problems are gathered, and `finish` reports
 * all of them, so that a person sees the whole of what is wrong with a checkpoint at once.
 */
export class GraphBuilder {
  readonly nodes: Node[] = [];
  private readonly problems = new Set<string>();
  private readonly used = new Set<string>();

  constructor(private readonly weights: Weights) {}

  matrix(tensor: string, out: number, d: number, transposed = false, part?: LinearPlace["part"]): MatrixRef {
    const rows = part?.of ?? out;
    const dtype = this.expect(tensor, transposed ? [d, rows] : [rows, d]);
    return { tensor, dtype, out, d, transposed, first: part?.first ?? 0 };
  }

  vector(tensor: string, length: number, part?: LinearPlace["part"]): VectorRef {
    this.expect(tensor, [part?.of ?? length]);
    return { tensor, length, first: part?.first ?? 0 };
  }

  /** Rows of a table, from row `offset` on, times `scale`. */
  embedding(
    id: ValueId,
    index: "token" | "position",
    table: MatrixRef,
    { offset = 0, scale = 1 }: { readonly offset?: number; readonly scale?: number } = {},
  ): ValueId {
    return this.push({ kind: "embedding", id, index, table, offset, scale });
  }

  /** `tensor` is the name without `.weight` and `.bias`, both [width]. */
  layerNorm(id: ValueId, input: ValueId, tensor: string, width: number, epsilon: number): ValueId {
    const gain = this.vector(`${tensor}.weight`, width);
    const bias = this.vector(`${tensor}.bias`, width);
    return this.push({ kind: "norm", id, input, method: "layer", heads: 1, gain, bias, epsilon });
  }

  /** `heads` vectors of `width` are normalised, each on its own; `plus` is added to the stored gains. */
  rmsNorm(
    id: ValueId,
    input: ValueId,
    tensor: string,
    { width, epsilon, heads = 1, plus = 0 }: RmsNormShape,
  ): ValueId {
    const stored = this.vector(`${tensor}.weight`, width);
    const gain = plus === 0 ? stored : { ...stored, plus };
    return this.push({ kind: "norm", id, input, method: "rms", heads, gain, bias: null, epsilon });
  }

  linear(id: ValueId, input: ValueId, place: LinearPlace): ValueId {
    const weight = this.matrix(`${place.tensor}.weight`, place.out, place.d, place.transposed, place.part);
    const bias = place.bias ? this.vector(`${place.tensor}.bias`, place.out, place.part) : null;
    return this.push({ kind: "linear", id, input, weight, bias });
  }

  /** Linears [out, d] on one value; those that name one tensor are its rows, in this order. */
  linears(
    input: ValueId,
    d: number,
    parts: readonly (Omit<LinearPlace, "d" | "part"> & { readonly id: ValueId })[],
  ): ValueId[] {
    const rows = new Map<string, number>();
    const placed = parts.map((part) => {
      const first = rows.get(part.tensor) ?? 0;
      rows.set(part.tensor, first + part.out);
      return { ...part, d, first };
    });
    return placed.map(({ id, first, ...place }) =>
      this.linear(id, input, { ...place, part: { first, of: rows.get(place.tensor)! } }),
    );
  }

  /**
   * The output head: on the token embedding where it is tied, else on a matrix of its own. A tied head that is stored
   * nevertheless is taken as it is stored, since transformers unties it where it differs from the embedding.
   */
  head(id: ValueId, input: ValueId, { tensor, table, tied, bias = false }: HeadPlace): ValueId {
    const own = !tied || this.weights.info(`${tensor}.weight`) !== undefined;
    const weight = own ? this.matrix(`${tensor}.weight`, table.out, table.d) : table;
    const vector = bias ? this.vector(`${tensor}.bias`, table.out) : null;
    return this.push({ kind: "linear", id, input, weight, bias: vector });
  }

  rope(id: ValueId, input: ValueId, shape: Omit<RopeNode, "kind" | "id" | "input">): ValueId {
    return this.push({ kind: "rope", id, input, ...shape });
  }

  attention(
    id: ValueId,
    query: ValueId,
    key: ValueId,
    value: ValueId,
    shape: Omit<AttentionNode, "kind" | "id" | "query" | "key" | "value">,
  ): ValueId {
    return this.push({ kind: "attention", id, query, key, value, ...shape });
  }

  activation(id: ValueId, input: ValueId, activation: ActivationFunction): ValueId {
    return this.push({ kind: "activation", id, input, function: activation });
  }

  add(id: ValueId, left: ValueId, right: ValueId): ValueId {
    return this.push({ kind: "add", id, left, right });
  }

  multiply(id: ValueId, left: ValueId, right: ValueId): ValueId {
    return this.push({ kind: "multiply", id, left, right });
  }

  /** Throws if a tensor was missing, of the wrong shape, or is left over; `ignorable` names tensors nobody needs. */
  finish(ignorable: (tensor: string) => boolean): readonly Node[] {
    for (const name of this.weights.names()) {
      if (!this.used.has(name) && !ignorable(name))
        this.problems.add(`${name}: not part of this architecture`);
    }
    if (this.problems.size > 0) {
      const shown = [...this.problems].slice(0, 40);
      if (shown.length < this.problems.size) shown.push(`and ${this.problems.size - shown.length} more`);
      throw new GsicError({
        category: "data",
        code: "model-tensors",
        message: `the weights do not fit the configuration:\n  ${shown.join("\n  ")}`,
        where: this.weights.source,
        hint: "check that the configuration belongs to these weights, and that every file is complete",
      });
    }
    return this.nodes;
  }

  private push(node: Node): ValueId {
    this.nodes.push(node);
    return node.id;
  }

  private expect(tensor: string, shape: readonly number[]): MatrixRef["dtype"] {
    this.used.add(tensor);
    const info = this.weights.info(tensor);
    if (info === undefined) {
      this.problems.add(`${tensor}: missing, expected [${shape.join(", ")}]`);
      return "f32";
    }
    if (info.shape.join() !== shape.join()) {
      this.problems.add(`${tensor}: [${info.shape.join(", ")}], expected [${shape.join(", ")}]`);
    }
    return info.dtype;
  }
}
