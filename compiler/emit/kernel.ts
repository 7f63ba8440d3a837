import type { TemplateName, TemplateParams } from "../../templates/params.js";
import { factorBytes, factorType, matrixBytes } from "../cost.js";
import type { DType, MatrixRef, RopeNode, Step, ValueId, VectorRef, WeightSource } from "../ir.js";
import { doubleLiteral, floatLiteral } from "./literal.js";

/** What a launch argument refers to, before memory is laid out. */
export type Operand =
  | { readonly kind: "step" }
  | { readonly kind: "value"; readonly id: ValueId }
  | { readonly kind: "weight"; readonly source: WeightSource }
  | { readonly kind: "vector"; readonly vector: VectorRef }
  | { readonly kind: "rope"; readonly rope: RopeNode }
  | { readonly kind: "cache"; readonly layer: number; readonly part: "keys" | "values" }
  | { readonly kind: "counter"; readonly input: ValueId };

export interface OperandSlot {
  readonly name: string;
  readonly type: string;
  readonly operand: Operand;
}

/** A template with its parameters (all but the symbol), and what the launch passes to it. */
export type KernelCall = {
  [Name in TemplateName]: {
    readonly template: Name;
    /** Proposed symbol; launches with equal parameters share a kernel. */
    readonly symbol: string;
    readonly params: Omit<TemplateParams[Name], "symbol">;
    readonly operands: readonly OperandSlot[];
  };
}[TemplateName];

/** Collects the operands of a kernel; `add` gives the slot. The step is always slot 0. */
class Operands {
  readonly slots: OperandSlot[] = [{ name: "step", type: "gsic_step", operand: { kind: "step" } }];

  add(name: string, type: string, operand: Operand): number {
    this.slots.push({ name, type, operand });
    return this.slots.length - 1;
  }

  value(name: string, id: ValueId): number {
    return this.add(name, "float", { kind: "value", id });
  }

  weight(name: string, source: WeightSource): number {
    return this.add(name, `packed ${typeOf(source)}`, { kind: "weight", source });
  }

  bias(name: string, vector: VectorRef | null): number | null {
    return vector === null ? null : this.add(name, "float", { kind: "vector", vector });
  }
}

/** The kernel call of a step. `context` is the length of the KV cache. */
export function kernelOf(step: Step, context: number): KernelCall {
  switch (step.kind) {
    case "embed":
      return embed(step);
    case "norm":
      return norm(step);
    case "basis":
      return basis(step);
    case "project":
      return step.gatedUnit ? gatedUnit(step) : project(step);
    case "cache":
      return cache(step, context);
    case "attend":
      return attend(step, context);
    default:
      return step satisfies never;
  }
}

type StepOf<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

function embed(step: StepOf<"embed">): KernelCall {
  const operands = new Operands();
  operands.value("y", step.output);
  const tables = step.tables.map(({ table, index, offset }) => ({
    type: cppType(table.dtype),
    out: table.out,
    d: table.d,
    argument: operands.weight(`${index}_table`, { kind: "stored", matrix: table }),
    index: `${index === "token" ? "step.tokens[column]" : "step.position + column"}${offset === 0 ? "" : ` + ${offset}`}`,
  }));
  const bytes = step.tables.reduce((sum, { table }) => sum + matrixBytes({ ...table, out: 1 }), 0);
  return {
    template: "embed",
    symbol: `embed_${step.width}`,
    params: {
      summary: `y = ${step.tables.map(({ index }) => `${index} row`).join(" + ")}`,
      shape: `y [columns, ${step.width}]`,
      account: bytesRead(bytes),
      width: step.width,
      tables,
    },
    operands: operands.slots,
  };
}

function norm({ node, width, output }: StepOf<"norm">): KernelCall {
  const operands = new Operands();
  operands.value("x", node.input);
  operands.value("y", output);
  operands.bias("gain", node.gain);
  const layer = node.method === "layer";
  return {
    template: "norm",
    symbol: `${node.method}_norm_${width}`,
    params: {
      summary: layer
        ? "y = (x - mean(x)) / sqrt(var(x) + epsilon) * gain + bias"
        : "y = x / sqrt(mean(x^2) + epsilon) * gain",
      shape: `x, y [columns, ${width}]`,
      account: bytesRead(4 * width * (node.bias ? 2 : 1)),
      width,
      layer,
      bias: operands.bias("bias", node.bias),
      epsilon: floatLiteral(node.epsilon),
    },
    operands: operands.slots,
  };
}

function basis({ input, output, k, d }: StepOf<"basis">): KernelCall {
  const operands = new Operands();
  operands.value("x", input);
  operands.value("y", output);
  const weight = operands.weight("basis", { kind: "basis", input, k, d });
  return {
    template: "project",
    symbol: `basis_${k}x${d}`,
    params: {
      summary: "g = V^T x",
      shape: `x [columns, ${d}], V^T [${k}, ${d}], g [columns, ${k}]`,
      account: bytesRead(factorBytes(k, d)),
      width: k,
      padded: isPadded(k),
      firstColumn: "0",
      activation: "identity",
      residual: null,
      gate: null,
      products: [{ ...product(null, factorType, k, d), column: 0, last: k - 1, weight, bias: null }],
    },
    operands: operands.slots,
  };
}

function project(step: StepOf<"project">): KernelCall {
  const operands = new Operands();
  operands.value("x", step.input);
  operands.value("y", step.output);
  const residual = step.residual === null ? null : operands.value("residual", step.residual);
  const gate = gateParams(step, operands);
  const products = step.parts.flatMap((part, index) => {
    const out = outOf(part.weight);
    const rows = { column: part.column, last: part.column + out - 1 };
    const bias = operands.bias(`bias${index}`, part.bias);
    return tiers(step).map((tier) => {
      const source = tier === "fast" ? part.image! : part.weight;
      const weight = operands.weight(`${tier === "fast" ? "image" : "weight"}${index}`, source);
      return { ...product(tier, typeOf(source), out, innerOf(source)), ...rows, weight, bias };
    });
  });
  return {
    template: "project",
    symbol: projectName(step),
    params: {
      summary: projectSummary(step),
      shape: projectShape(step),
      account: projectAccount(step),
      width: step.width,
      padded: isPadded(step.width),
      firstColumn: step.head ? "step.first_logit" : "0",
      activation: step.activation ?? "identity",
      residual,
      gate,
      products,
    },
    operands: operands.slots,
  };
}

function gatedUnit(step: StepOf<"project">): KernelCall {
  const operands = new Operands();
  operands.value("x", step.input);
  operands.value("y", step.output);
  const gate = gateParams(step, operands);
  const [first, second] = step.parts as [(typeof step.parts)[0], (typeof step.parts)[0]];
  const gateBias = operands.bias("gate_bias", first.bias);
  const upBias = operands.bias("up_bias", second.bias);
  const products = tiers(step).map((tier) => {
    const [a, b] = tier === "fast" ? [first.image!, second.image!] : [first.weight, second.weight];
    const shared = product(tier, typeOf(a), step.width, innerOf(a));
    return {
      tier: shared.tier,
      gateType: shared.type,
      upType: cppType(typeOf(b)),
      out: shared.out,
      d: shared.d,
      gateWeight: operands.weight(tier === "fast" ? "gate_image" : "gate_weight", a),
      upWeight: operands.weight(tier === "fast" ? "up_image" : "up_weight", b),
      gateBias,
      upBias,
      columns: shared.columns,
      input: shared.input,
    };
  });
  return {
    template: "gated_unit",
    symbol: projectName(step),
    params: {
      summary: projectSummary(step),
      shape: projectShape(step),
      account: projectAccount(step),
      width: step.width,
      padded: isPadded(step.width),
      activation: step.activation ?? "identity",
      gate,
      products,
    },
    operands: operands.slots,
  };
}

function cache(step: StepOf<"cache">, context: number): KernelCall {
  const { heads, kvHeads, headDim } = step.attention;
  const operands = new Operands();
  operands.value("source", step.source);
  operands.add("keys", "float", { kind: "cache", layer: step.layer, part: "keys" });
  operands.add("values", "float", { kind: "cache", layer: step.layer, part: "values" });
  const rope = step.rope && {
    table: operands.add("rope", "float", { kind: "rope", rope: step.rope }),
    rotaryDim: step.rope.rotaryDim,
    pairing: step.rope.pairing,
  };
  return {
    template: "cache",
    symbol: `cache_${heads}x${kvHeads}x${headDim}`,
    params: {
      summary: `${rope ? "turn query and key by their position; " : ""}append key and value to the cache`,
      shape: `source [columns, ${step.sourceWidth}], cache [${kvHeads}, ${context}, ${headDim}] twice`,
      account: bytesRead(rope ? 4 * rope.rotaryDim : 0),
      heads,
      kvHeads,
      headDim,
      context,
      sourceWidth: step.sourceWidth,
      queryColumn: step.queryColumn,
      keyColumn: step.keyColumn,
      valueColumn: step.valueColumn,
      rope,
    },
    operands: operands.slots,
  };
}

function attend(step: StepOf<"attend">, context: number): KernelCall {
  const { heads, kvHeads, headDim, scale } = step.attention;
  const operands = new Operands();
  operands.value("source", step.source);
  operands.value("y", step.output);
  operands.add("keys", "float", { kind: "cache", layer: step.layer, part: "keys" });
  operands.add("values", "float", { kind: "cache", layer: step.layer, part: "values" });
  const width = heads * headDim;
  return {
    template: "attend",
    symbol: `attend_${heads}x${kvHeads}x${headDim}`,
    params: {
      summary: "y = softmax(scale q K^T) V, causal, per head",
      shape: `q [columns, ${heads}, ${headDim}], K, V [${kvHeads}, length, ${headDim}], y [columns, ${width}]`,
      account: `reads ${8 * kvHeads * headDim} bytes of the cache per position`,
      heads,
      kvHeads,
      headDim,
      context,
      sourceWidth: step.sourceWidth,
      queryColumn: step.queryColumn,
      width,
      padded: isPadded(width),
      scale: floatLiteral(scale),
    },
    operands: operands.slots,
  };
}

type Tier = "fast" | "slow" | null;

function tiers({ gate }: StepOf<"project">): readonly Tier[] {
  return gate === null ? [null] : ["fast", "slow"];
}

function product(tier: Tier, type: DType, out: number, d: number) {
  return {
    tier,
    type: cppType(type),
    out,
    d,
    columns: tier === null ? "columns" : `tiers.${tier}`,
    input: tier === "fast" ? "g" : "x",
  };
}

function gateParams(step: StepOf<"project">, operands: Operands) {
  const { gate, input, d } = step;
  if (gate === null) return null;
  return {
    coordinates: operands.value("g", gate.coordinates),
    basis: operands.weight("basis", { kind: "basis", input, k: gate.k, d }),
    counters: gate.counts ? operands.add("counters", "uint64_t", { kind: "counter", input }) : null,
    k: gate.k,
    d,
    epsilon: doubleLiteral(gate.epsilon),
  };
}

function projectName(step: StepOf<"project">): string {
  const type = typeOf(step.parts[0]!.weight);
  const role = step.head ? "head" : step.gatedUnit ? "gated_unit" : "project";
  return `${role}_${type}_${step.width}x${step.d}${step.gate ? `_k${step.gate.k}` : ""}`;
}

function projectSummary(step: StepOf<"project">): string {
  const bias = step.parts.some((part) => part.bias !== null) ? " + b" : "";
  const f = (text: string) => (step.activation === null ? text : `${step.activation}(${text})`);
  const end = step.residual === null ? "" : " + residual";
  const form = (w: (name: string) => string) =>
    step.gatedUnit ? `${f(w("gate") + bias)} * (${w("up")}${bias})` : f(w("") + bias) + end;
  const slow = form((name) => `W${name && `_${name}`} x`);
  if (step.gate === null) return `y = ${slow}`;
  const fast = form((name) => `M${name && `_${name}`} g`);
  return `rho = ||x - V g|| / ||x|| < ${step.gate.epsilon}: y = ${fast}, with M = W V, g = V^T x; else y = ${slow}`;
}

function projectShape(step: StepOf<"project">): string {
  const parts = step.parts.map(({ weight }) => `${typeOf(weight)} [${outOf(weight)}, ${step.d}]`);
  const images =
    step.gate === null
      ? ""
      : `, M [${step.parts.map(({ weight }) => outOf(weight)).join(" + ")}, ${step.gate.k}]`;
  return `x [columns, ${step.d}], W ${parts.join(" + ")}${images}, y [columns, ${step.width}]`;
}

function projectAccount(step: StepOf<"project">): string {
  const slow = step.parts.reduce((sum, part) => sum + sourceBytes(part.weight), 0);
  if (step.gate === null) return bytesRead(slow);
  const fast = step.parts.reduce((sum, part) => sum + sourceBytes(part.image!), 0);
  return `reads ${fast} bytes of weights per token with the gate closed, ${slow} with it open; the basis beside them`;
}

function bytesRead(bytes: number): string {
  return `reads ${bytes} bytes of weights per token`;
}

/** Element type of a matrix in the bundle. */
export function typeOf(source: WeightSource): DType {
  return source.kind === "stored" ? source.matrix.dtype : factorType;
}

/** Rows of a matrix in the bundle. */
export function outOf(source: WeightSource): number {
  switch (source.kind) {
    case "stored":
      return source.matrix.out;
    case "basis":
      return source.k;
    case "image":
      return source.out;
    default:
      return source satisfies never;
  }
}

/** Columns of a matrix in the bundle. */
export function innerOf(source: WeightSource): number {
  switch (source.kind) {
    case "stored":
      return source.matrix.d;
    case "basis":
      return source.d;
    case "image":
      return source.k;
    default:
      return source satisfies never;
  }
}

function sourceBytes(source: WeightSource): number {
  const shape: Pick<MatrixRef, "dtype" | "out" | "d"> = {
    dtype: typeOf(source),
    out: outOf(source),
    d: innerOf(source),
  };
  return matrixBytes(shape);
}

/** Element types have the same names in C++. */
function cppType(dtype: DType): string {
  return dtype;
}

function isPadded(width: number): boolean {
  return width % 32 !== 0;
}
