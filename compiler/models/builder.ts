import type {
  ActivationFunction,
  AttentionNode,
  MatrixRef,
  Node,
  RopeNode,
  ValueId,
  VectorRef,
} from "../ir/graph.js";
import { idInLayer } from "../ir/walk.js";
import type { Weights } from "../read/weights.js";
import { GsicError } from "../support/errors.js";

/** A linear's place among the tensors: its name without `.weight`, and how the file stores it. */
interface LinearPlace {
  readonly tensor: string;
  readonly out: number;
  readonly d: number;
  readonly transposed?: boolean;
  /** First row within a fused tensor, and all of that tensor's rows. */
  readonly part?: { readonly first: number; readonly of: number };
  readonly bias: boolean;
}

/** `heads` vectors (default: 1) of `width`, each normalised on its own; `plus` is added to the stored gain (default: 0). */
interface RmsNormShape {
  readonly width: number;
  readonly epsilon: number;
  readonly heads?: number;
  readonly plus?: number;
}

/** The output head's place: its tensor without `.weight`, and the token embedding [vocabulary, d]. */
interface HeadPlace {
  readonly tensor: string;
  readonly table: MatrixRef;
  readonly tied: boolean;
  readonly bias?: boolean;
}

/** A node as its method describes it: the builder knows the layer that it stands in. */
type Unplaced<N extends Node = Node> = N extends Node ? Omit<N, "id" | "layer"> : never;

/**
 * Collects a graph's nodes while it checks each tensor that they name. Problems are gathered, and `finish` reports
 * all of them, so that a person sees the whole of what is wrong with a checkpoint at once. The names that its methods
 * take are those within a layer; they return the ids of the values.
 */
export class GraphBuilder {
  readonly nodes: Node[] = [];
  private readonly problems = new Set<string>();
  private readonly used = new Set<string>();
  private layer: number | null = null;

  constructor(private readonly weights: Weights) {}

  /** Makes the layers one after another; `make` is given what the one before returned, the first one `input`. */
  layers(count: number, input: ValueId, make: (input: ValueId, layer: number) => ValueId): ValueId {
    let value = input;
    for (let layer = 0; layer < count; layer++) {
      this.layer = layer;
      value = make(value, layer);
    }
    this.layer = null;
    return value;
  }

  matrix(tensor: string, out: number, d: number, turned = false, part?: LinearPlace["part"]): MatrixRef {
    const rows = part?.of ?? out;
    const transposed = turned && !this.weights.isQuantized(tensor);
    const dtype = this.expect(tensor, transposed ? [d, rows] : [rows, d]);
    const ordered = this.weights.orderOf(tensor) === undefined ? {} : { ordered: true };
    return { tensor, dtype, out, d, transposed, first: part?.first ?? 0, ...ordered };
  }

  vector(tensor: string, length: number, part?: LinearPlace["part"]): VectorRef {
    this.expect(tensor, [part?.of ?? length]);
    return { tensor, length, first: part?.first ?? 0 };
  }

  /** Rows of a table, from row `offset` on, times `scale`. */
  embedding(
    name: string,
    index: "token" | "position",
    table: MatrixRef,
    { offset = 0, scale = 1 }: { readonly offset?: number; readonly scale?: number } = {},
  ): ValueId {
    return this.push(name, { kind: "embedding", index, table, offset, scale });
  }

  /** `tensor` is the name without `.weight` and `.bias`, both [width]. */
  layerNorm(name: string, input: ValueId, tensor: string, width: number, epsilon: number): ValueId {
    const gain = this.vector(`${tensor}.weight`, width);
    const bias = this.vector(`${tensor}.bias`, width);
    return this.push(name, { kind: "norm", input, method: "layer", heads: 1, gain, bias, epsilon });
  }

  /** `heads` vectors of `width` are normalised, each on its own; `plus` is added to the stored gains. */
  rmsNorm(
    name: string,
    input: ValueId,
    tensor: string,
    { width, epsilon, heads = 1, plus = 0 }: RmsNormShape,
  ): ValueId {
    const stored = this.vector(`${tensor}.weight`, width);
    const gain = plus === 0 ? stored : { ...stored, plus };
    return this.push(name, { kind: "norm", input, method: "rms", heads, gain, bias: null, epsilon });
  }

  linear(name: string, input: ValueId, place: LinearPlace): ValueId {
    const weight = this.matrix(`${place.tensor}.weight`, place.out, place.d, place.transposed, place.part);
    const bias = place.bias ? this.vector(`${place.tensor}.bias`, place.out, place.part) : null;
    return this.push(name, { kind: "linear", input, weight, bias });
  }

  /** Linears [out, d] on one value; those that name one tensor are its rows, in this order. */
  linears(
    input: ValueId,
    d: number,
    parts: readonly (Omit<LinearPlace, "d" | "part"> & { readonly name: string })[],
  ): ValueId[] {
    const rows = new Map<string, number>();
    const placed = parts.map((part) => {
      const first = rows.get(part.tensor) ?? 0;
      rows.set(part.tensor, first + part.out);
      return { ...part, d, first };
    });
    return placed.map(({ name, first, ...place }) =>
      this.linear(name, input, { ...place, part: { first, of: rows.get(place.tensor)! } }),
    );
  }

  /**
   * The output head: on the token embedding where it is tied, else on a matrix of its own. A tied head that is stored
   * nevertheless is taken as it is stored, since transformers unties it where it differs from the embedding.
   */
  head(name: string, input: ValueId, { tensor, table, tied, bias = false }: HeadPlace): ValueId {
    const own = !tied || this.weights.info(`${tensor}.weight`) !== undefined;
    const weight = own ? this.matrix(`${tensor}.weight`, table.out, table.d) : table;
    const vector = bias ? this.vector(`${tensor}.bias`, table.out) : null;
    return this.push(name, { kind: "linear", input, weight, bias: vector });
  }

  rope(name: string, input: ValueId, shape: Omit<Unplaced<RopeNode>, "kind" | "input">): ValueId {
    return this.push(name, { kind: "rope", input, ...shape });
  }

  attention(
    name: string,
    query: ValueId,
    key: ValueId,
    value: ValueId,
    shape: Omit<Unplaced<AttentionNode>, "kind" | "query" | "key" | "value" | "cache">,
  ): ValueId {
    return this.push(name, { kind: "attention", query, key, value, ...shape, cache: "f32" });
  }

  activation(name: string, input: ValueId, activation: ActivationFunction): ValueId {
    return this.push(name, { kind: "activation", input, function: activation });
  }

  add(name: string, left: ValueId, right: ValueId): ValueId {
    return this.push(name, { kind: "add", left, right });
  }

  multiply(name: string, left: ValueId, right: ValueId): ValueId {
    return this.push(name, { kind: "multiply", left, right });
  }

  /** Throws if a tensor was missing, of the wrong shape, or is left over; `ignorable` names tensors nobody needs. */
  finish(ignorable: (tensor: string) => boolean): readonly Node[] {
    for (const name of this.weights.names()) {
      if (!this.used.has(name) && !ignorable(name) && !this.isEmptyBias(name))
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

  /** Early GPTQ libraries gave every linear a bias, of zeros where the model has none. */
  private isEmptyBias(name: string): boolean {
    const linear = name.replace(/\.bias$/, "");
    const info = this.weights.info(name);
    if (linear === name || info?.shape.length !== 1 || !this.weights.isQuantized(`${linear}.weight`))
      return false;
    return this.weights
      .readVector({ tensor: name, length: info.shape[0]!, first: 0 })
      .every((value) => value === 0);
  }

  private push(name: string, node: Unplaced): ValueId {
    const id = idInLayer(this.layer, name);
    this.nodes.push({ ...node, id, layer: this.layer });
    return id;
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
