import { factorQuantizer, recipeOf, sharing, tierOf } from "../ir/forms.js";
import type {
  ActivationFunction,
  AttentionNode,
  EmbeddingNode,
  LinearNode,
  Node,
  NormNode,
  RopeNode,
  ValueId,
} from "../ir/graph.js";
import type { InputGroup, Plan } from "../ir/plan.js";
import type { ProjectionPart, QuantizedSource, Step } from "../ir/steps.js";
import { inputsOf, nodeIndex, valueWidths } from "../ir/walk.js";
import { GsicError } from "../support/errors.js";

/**
 * The steps of a pass over 1 to 16 tokens: nodes fused as far as the kernels allow. Fused are: embeddings with their
 * sum; the linears that attention reads, and the norms of their heads; a gated MLP's gate and up; a linear with the
 * activation or the residual that follows it; a norm with the residual that follows it.
 */
export function lower(plan: Plan): readonly Step[] {
  const lowering = new Lowering(plan);
  for (const node of plan.graph.nodes) lowering.visit(node);
  return lowering.steps;
}

type ProjectStep = Extract<Step, { kind: "project" }>;

class Lowering {
  readonly steps: Step[] = [];
  private readonly index: ReadonlyMap<ValueId, Node>;
  private readonly widths: ReadonlyMap<ValueId, number>;
  private readonly uses = new Map<ValueId, Node[]>();
  private readonly decided = new Set<ValueId>();
  private layer = 0;

  constructor(private readonly plan: Plan) {
    this.index = nodeIndex(plan.graph);
    this.widths = valueWidths(plan.graph);
    for (const node of plan.graph.nodes) {
      for (const input of inputsOf(node)) this.uses.set(input, [...(this.uses.get(input) ?? []), node]);
    }
  }

  /** Emits the steps of a node, unless the node that reads it computes it too. */
  visit(node: Node): void {
    if (this.isFused(node)) return;
    switch (node.kind) {
      case "embedding":
        this.embed(node.id, [node]);
        break;
      case "norm":
        this.norm(node.id, node, null);
        break;
      case "linear":
        this.project(node.id, [node], {});
        break;
      case "attention":
        this.attention(node);
        break;
      case "activation":
        this.activation(node.id, node.input, node.function);
        break;
      case "add":
        this.add(node.id, node.left, node.right);
        break;
      case "multiply":
        this.gatedUnit(node.id, node.left, node.right);
        break;
      case "rope":
        throw this.unsupported(node, "a rotary embedding that no attention reads");
      default:
        node satisfies never;
    }
  }

  /** Whether the only reader of a node absorbs it. */
  private isFused(node: Node): boolean {
    const readers = this.uses.get(node.id) ?? [];
    const reader = readers[0];
    if (reader === undefined || readers.length !== 1 || node.id === this.plan.graph.output) return false;
    switch (node.kind) {
      case "embedding":
        return reader.kind === "add" && this.embeddings(reader.left, reader.right) !== null;
      case "rope":
        return reader.kind === "attention";
      case "norm":
        if (reader.kind === "add") return this.residualOf(reader.left, reader.right)?.node === node;
        return this.isOfHeads(node);
      case "linear":
        if (reader.kind === "add") return this.residualOf(reader.left, reader.right)?.node === node;
        return (
          reader.kind === "rope" ||
          reader.kind === "attention" ||
          reader.kind === "activation" ||
          (reader.kind === "norm" && this.isOfHeads(reader)) ||
          (reader.kind === "multiply" && this.unitOf(reader.left, reader.right)?.up === node)
        );
      case "activation":
        return reader.kind === "multiply" && this.unitOf(reader.left, reader.right)?.activation === node;
      default:
        return false;
    }
  }

  /** Whether a norm is one of query's or key's heads, which the cache's update computes. */
  private isOfHeads(node: NormNode): boolean {
    const readers = this.uses.get(node.id) ?? [];
    return readers.length === 1 && (readers[0]!.kind === "rope" || readers[0]!.kind === "attention");
  }

  private norm(output: ValueId, node: NormNode, residual: ValueId | null): void {
    if (node.heads !== 1) throw this.unsupported(node, "a norm of heads that no attention reads");
    this.steps.push({ kind: "norm", output, width: this.width(output), node, residual });
  }

  private embed(output: ValueId, tables: readonly EmbeddingNode[]): void {
    this.steps.push({ kind: "embed", output, width: this.width(output), tables });
  }

  private embeddings(left: ValueId, right: ValueId): readonly EmbeddingNode[] | null {
    const [a, b] = [this.index.get(left), this.index.get(right)];
    return a?.kind === "embedding" && b?.kind === "embedding" ? [a, b] : null;
  }

  private add(output: ValueId, left: ValueId, right: ValueId): void {
    const tables = this.embeddings(left, right);
    if (tables !== null) {
      this.embed(output, tables);
      return;
    }
    const found = this.residualOf(left, right);
    if (found === null)
      throw this.unsupported(this.index.get(output)!, "a sum without a linear or a norm to fuse it with");
    if (found.node.kind === "norm") this.norm(output, found.node, found.residual);
    else this.project(output, [found.node], { residual: found.residual });
  }

  /** The linear or norm of a sum that nobody else reads, and the other side. The right one, if both are. */
  private residualOf(
    left: ValueId,
    right: ValueId,
  ): { node: LinearNode | NormNode; residual: ValueId } | null {
    for (const [candidate, residual] of [
      [right, left],
      [left, right],
    ] as const) {
      const node = this.index.get(candidate);
      if ((node?.kind === "linear" || node?.kind === "norm") && this.uses.get(candidate)?.length === 1)
        return { node, residual };
    }
    return null;
  }

  private activation(output: ValueId, input: ValueId, activation: ActivationFunction): void {
    const node = this.index.get(input);
    if (node?.kind !== "linear" || this.uses.get(input)?.length !== 1) {
      throw this.unsupported(
        this.index.get(output)!,
        "an activation that does not follow a linear of its own",
      );
    }
    this.project(output, [node], { activation });
  }

  /** gate and up of f(gate) * up, where both read one value. */
  private unitOf(left: ValueId, right: ValueId) {
    for (const [first, second] of [
      [left, right],
      [right, left],
    ] as const) {
      const activation = this.index.get(first);
      const up = this.index.get(second);
      if (activation?.kind !== "activation" || up?.kind !== "linear") continue;
      const gate = this.index.get(activation.input);
      const alone = [first, second, activation.input].every((id) => this.uses.get(id)?.length === 1);
      if (alone && gate?.kind === "linear" && gate.input === up.input && gate.weight.out === up.weight.out) {
        return { gate, up, activation };
      }
    }
    return null;
  }

  private gatedUnit(output: ValueId, left: ValueId, right: ValueId): void {
    const unit = this.unitOf(left, right);
    if (unit === null)
      throw this.unsupported(this.index.get(output)!, "a product other than activation(gate) * up");
    this.project(output, [unit.gate, unit.up], { activation: unit.activation.function, gatedUnit: true });
  }

  private attention(node: AttentionNode): void {
    const query = this.attentionInput(node.query);
    const key = this.attentionInput(node.key);
    const value = this.attentionInput(node.value);
    const source = `${node.id}_inputs`;
    const linears = [query.linear, key.linear, value.linear];
    const sameInput = linears.every((linear) => linear.input === query.linear.input);
    if (!sameInput || value.rope !== null || (query.rope === null) !== (key.rope === null)) {
      throw this.unsupported(node, "attention whose query, key and value do not read one value");
    }
    if (value.norm !== null || (query.norm === null) !== (key.norm === null)) {
      throw this.unsupported(node, "attention that normalises the heads of other than query and key");
    }
    this.project(source, linears, {});
    const keyColumn = query.linear.weight.out;
    const valueColumn = keyColumn + key.linear.weight.out;
    const sourceWidth = valueColumn + value.linear.weight.out;
    const place = { layer: this.layer++, source, sourceWidth, queryColumn: 0 };
    const norms = query.norm && key.norm && { query: query.norm, key: key.norm };
    this.steps.push({
      kind: "cache",
      ...place,
      keyColumn,
      valueColumn,
      attention: node,
      norms,
      rope: query.rope,
    });
    this.steps.push({ kind: "attend", ...place, output: node.id, attention: node });
  }

  /** What attention reads: a linear, then the RMS norm of its heads, then their rotation; the last two where they are. */
  private attentionInput(id: ValueId): {
    linear: LinearNode;
    norm: NormNode | null;
    rope: RopeNode | null;
  } {
    const node = this.index.get(id);
    const rope = node?.kind === "rope" ? node : null;
    const inner = rope === null ? node : this.index.get(rope.input);
    const norm = inner?.kind === "norm" ? inner : null;
    const linear = norm === null ? inner : this.index.get(norm.input);
    const alone = [node, inner, linear].every((one) => one && this.uses.get(one.id)?.length === 1);
    if (linear?.kind !== "linear" || !alone) {
      throw this.unsupported(
        node ?? this.plan.graph.nodes[0]!,
        "attention that does not read linears of its own",
      );
    }
    if (norm !== null && norm.method !== "rms") throw this.unsupported(norm, "layer norms of heads");
    return { linear, norm, rope };
  }

  private project(
    output: ValueId,
    linears: readonly LinearNode[],
    fused: { activation?: ActivationFunction; residual?: ValueId; gatedUnit?: boolean },
  ): void {
    const { input } = linears[0]!;
    const d = linears[0]!.weight.d;
    const shared = this.sharedOf(input, d);
    const gatedUnit = fused.gatedUnit ?? false;
    let width = 0;
    const parts = linears.map((linear): ProjectionPart => {
      const column = gatedUnit ? 0 : width;
      width = column + linear.weight.out;
      return {
        linear: linear.id,
        weight: { kind: "stored", matrix: linear.weight },
        image: shared.gate && { kind: "image", linear: linear.id, out: linear.weight.out, k: shared.gate.k },
        quantized: this.quantizedOf(linear),
        bias: linear.bias,
        column,
      };
    });
    this.steps.push({
      kind: "project",
      output,
      input,
      d,
      width,
      parts,
      activation: fused.activation ?? null,
      gatedUnit,
      residual: fused.residual ?? null,
      ...shared,
      head: output === this.plan.graph.output,
    });
  }

  /**
   * What the linears of an input share: factors and gates. Emits the step that computes the coordinates of a subspace
   * where they are first needed.
   */
  private sharedOf(input: ValueId, d: number): Pick<ProjectStep, "gate" | "correction" | "exact" | "counts"> {
    const group = this.groupOf(input);
    const { subspace, rank, exact } = sharing(this.plan, group);
    const counts = !this.decided.has(input);
    this.decided.add(input);
    const coordinates = `${input}_coordinates`;
    if (subspace !== null && counts)
      this.steps.push({ kind: "basis", output: coordinates, input, k: subspace.k, d });
    const factor = { d, quantizer: factorQuantizer, rank: 0, recipe: recipeOf(this.plan, group) };
    return {
      gate: subspace && { coordinates, ...subspace },
      correction: rank === 0 ? null : { kind: "correction", ...factor, out: rank },
      exact: exact && { ...exact, source: { kind: "projections", ...factor, out: exact.projections } },
      counts,
    };
  }

  private quantizedOf({ id, input, weight }: LinearNode): QuantizedSource | null {
    const tier = tierOf(this.plan.linears.get(id)!.form);
    if (tier === null) return null;
    const { quantizer, rank } = tier;
    const recipe = recipeOf(this.plan, this.groupOf(input));
    return { kind: "quantized", linear: id, out: weight.out, d: weight.d, quantizer, rank, recipe };
  }

  private groupOf(input: ValueId): InputGroup {
    return this.plan.groups.find((group) => group.input === input)!;
  }

  private width(id: ValueId): number {
    return this.widths.get(id)!;
  }

  private unsupported(node: Node, what: string): GsicError {
    return new GsicError({
      category: "data",
      code: "graph-unsupported",
      message: `no kernel computes ${what}`,
      where: `${this.plan.graph.name}: ${node.id}`,
      hint: "keep the wiring that the model's family has; forms, k and epsilon can be edited freely",
    });
  }
}
