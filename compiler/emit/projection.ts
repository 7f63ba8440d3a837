import { factorBytes, matrixBytes } from "../cost.js";
import type { DeviceKind, ProjectionPart, Step, WeightSource } from "../ir.js";
import { doubleLiteral } from "./literal.js";
import { bytesRead, type CpuKernelCall, isPadded, Operands } from "./operands.js";
import { shapeOf } from "./shape.js";

type BasisStep = Extract<Step, { kind: "basis" }>;
type ProjectStep = Extract<Step, { kind: "project" }>;

/** g = V^T x. */
export function basis({ input, output, k, d }: BasisStep): CpuKernelCall {
  const operands = new Operands();
  operands.value("x", input);
  operands.value("y", output);
  const source = { kind: "basis", input, k, d } as const;
  const weight = operands.weight("basis", source);
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
      products: [{ ...product(null, source), column: 0, last: k - 1, weight, bias: null }],
    },
    operands: operands.slots,
    launch: null,
  };
}

/** y = f(W x + b) + residual, for all linears that read one value, in one tier or two. */
export function project(step: ProjectStep): CpuKernelCall {
  const operands = new Operands();
  operands.value("x", step.input);
  operands.value("y", step.output);
  const residual = step.residual === null ? null : operands.value("residual", step.residual);
  const gate = gateParams(step, operands);
  const products = step.parts.flatMap((part, index) => {
    const { out } = shapeOf(part.weight);
    const rows = { column: part.column, last: part.column + out - 1 };
    const bias = operands.bias(`bias${index}`, part.bias);
    return tiers(step).map((tier) => {
      const source = tier === "fast" ? part.image! : part.weight;
      const weight = operands.weight(`${tier === "fast" ? "image" : "weight"}${index}`, source);
      return { ...product(tier, source), ...rows, weight, bias };
    });
  });
  return {
    template: "project",
    symbol: projectName(step),
    params: {
      ...common(step),
      firstColumn: step.head ? "step.first_logit" : "0",
      residual,
      gate,
      products,
    },
    operands: operands.slots,
    launch: null,
  };
}

/** y = f(gate) * up, both from one value. */
export function gatedUnit(step: ProjectStep): CpuKernelCall {
  const operands = new Operands();
  operands.value("x", step.input);
  operands.value("y", step.output);
  const gate = gateParams(step, operands);
  const [first, second] = step.parts as [(typeof step.parts)[0], (typeof step.parts)[0]];
  const gateBias = operands.bias("gate_bias", first.bias);
  const upBias = operands.bias("up_bias", second.bias);
  const products = tiers(step).map((tier) => {
    const [a, b] = tier === "fast" ? [first.image!, second.image!] : [first.weight, second.weight];
    const shared = product(tier, a);
    return {
      tier: shared.tier,
      gateType: shared.type,
      upType: shapeOf(b).dtype,
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
      ...common(step),
      gate,
      products,
    },
    operands: operands.slots,
    launch: null,
  };
}

/** The parameters that both templates of a projection take. */
function common(step: ProjectStep) {
  return {
    summary: projectSummary(step),
    shape: projectShape(step),
    account: projectAccount(step),
    width: step.width,
    padded: isPadded(step.width),
    activation: step.activation ?? "identity",
  };
}

export type Tier = "fast" | "slow" | null;

/** The tiers of a projection; one without a name where no gate decides. */
export function tiers({ gate }: ProjectStep): readonly Tier[] {
  return gate === null ? [null] : ["fast", "slow"];
}

/** What a product of a tier's matrix with its input is made of. */
function product(tier: Tier, source: WeightSource) {
  const { dtype, out, d } = shapeOf(source);
  return {
    tier,
    type: dtype,
    out,
    d,
    columns: tier === null ? "columns" : `tiers.${tier}`,
    input: tier === "fast" ? "g" : "x",
  };
}

function gateParams(step: ProjectStep, operands: Operands) {
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

export function projectName(step: ProjectStep): string {
  const type = shapeOf(step.parts[0]!.weight).dtype;
  const role = step.head ? "head" : step.gatedUnit ? "gated_unit" : "project";
  return `${role}_${type}_${step.width}x${step.d}${step.gate ? `_k${step.gate.k}` : ""}`;
}

export function projectSummary(step: ProjectStep): string {
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

export function projectShape(step: ProjectStep): string {
  const parts = step.parts.map(
    ({ weight }) => `${shapeOf(weight).dtype} [${shapeOf(weight).out}, ${step.d}]`,
  );
  const images =
    step.gate === null
      ? ""
      : `, M [${step.parts.map(({ weight }) => shapeOf(weight).out).join(" + ")}, ${step.gate.k}]`;
  return `x [columns, ${step.d}], W ${parts.join(" + ")}${images}, y [columns, ${step.width}]`;
}

export function projectAccount(step: ProjectStep, device: DeviceKind = "cpu"): string {
  const bytes = (source: (part: ProjectionPart) => WeightSource) =>
    step.parts.reduce((sum, part) => sum + matrixBytes(shapeOf(source(part)), device), 0);
  const slow = bytes(({ weight }) => weight);
  if (step.gate === null) return bytesRead(slow);
  const fast = bytes(({ image }) => image!);
  return `reads ${fast} bytes of weights per token with the gate closed, ${slow} with it open; the basis beside them`;
}

/** The maths of a norm of `x`. */
export function normFormula(method: "layer" | "rms", x: string): string {
  return method === "layer"
    ? `(${x} - mean(${x})) / sqrt(var(${x}) + epsilon) * gain + bias`
    : `${x} / sqrt(mean(${x}^2) + epsilon) * gain`;
}
