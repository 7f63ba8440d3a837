import { factorBytes } from "../../cost.js";
import { gateName } from "../../forms.js";
import type { DeviceStep, NormNode, PlainSource, ProjectionPart } from "../../ir.js";
import { tileRows } from "../../schedule/layout.js";
import type { GpuShape, GpuTarget } from "../../target.js";
import { doubleLiteral, floatLiteral } from "../literal.js";
import { bytesRead, type GpuKernelCall } from "../operands.js";
import {
  normFormula,
  projectAccount,
  projectName,
  projectShape,
  projectSummary,
  type Tier,
  tiers,
} from "../projection.js";
import { shapeOf } from "../shape.js";
import { coordinateBytes, groupsOf, launchOf, ldsOf, ruledSplits, splitsOf } from "./division.js";
import { DeviceOperands } from "./operands.js";

type BasisStep = Extract<DeviceStep, { kind: "basis" }>;
type ProjectStep = Extract<DeviceStep, { kind: "project" }>;

/** g = V^T x and ||x||^2. */
export function basis(step: BasisStep, { gpu, device }: GpuTarget): GpuKernelCall {
  const { k, d, norm } = step;
  const operands = new DeviceOperands();
  operands.input("x", step.input);
  operands.output("y", step.output);
  const source = { kind: "basis", input: step.normed, k, d } as const;
  const weight = operands.weight("basis", source);
  const squares = operands.output("squares", step.squares, "double");
  const lds = ldsOf(gpu, 1, [source], { norm: norm !== null, gate: true });
  return {
    template: "project",
    symbol: `basis_${k}x${d}${norm === null ? "" : `_${norm.method}`}`,
    params: {
      summary: `${prefix(norm)}g = V^T x`,
      shape: `x [columns, ${d}], V^T [${k}, ${d}], g [columns, ${k}]`,
      account: bytesRead(factorBytes(k, d, device)),
      norm: normParams(norm, operands, true),
      parameters: operands.parameters,
      waves: gpu.wavesPerWorkgroup,
      width: k,
      d,
      stageBytes: lds.stage,
      firstColumn: "0",
      activation: "identity",
      residual: null,
      gate: null,
      squares,
      products: [
        {
          ...product(null, source),
          splits: splitsOf(source, gpu),
          type: "f16",
          column: 0,
          last: k - 1,
          weight,
          bias: null,
        },
      ],
    },
    operands: operands.slots,
    launch: launchOf(gpu, gpu.wavesPerWorkgroup, groupsOf(source, gpu), lds.total),
  };
}

/** y = f(W x + b) + residual, for all linears that read one value, in one tier or two. */
export function project(step: ProjectStep, target: GpuTarget): GpuKernelCall {
  const { gpu } = target;
  const operands = new DeviceOperands();
  operands.input("x", step.input);
  operands.output("y", step.output);
  const residual = step.residual === null ? null : operands.input("residual", step.residual);
  const gate = gateParams(step, operands, gpu);
  const products = plainTiers(step).flatMap((tier) =>
    stack(step.parts, tier).map(({ source, parts, column }, index) => {
      const { dtype, out } = shapeOf(source);
      const name = `${tier === "fast" ? "image" : "weight"}${index}`;
      return {
        ...product(tier, source),
        splits: splitsOf(source, gpu),
        type: dtype,
        column,
        last: column + out - 1,
        weight: operands.weight(name, source),
        bias: biasName(parts, `bias${index}`, operands),
        source,
      };
    }),
  );
  const sources = products.map(({ source }) => source);
  const lds = memoryOf(step, gpu, 1, sources);
  const most = Math.max(...sources.map((source) => groupsOf(source, gpu)));
  return {
    template: "project",
    symbol: nameOf(step),
    params: {
      ...common(step, operands, target),
      width: step.width,
      stageBytes: lds.stage,
      firstColumn: step.head ? "now.first_logit" : "0",
      residual,
      gate,
      squares: null,
      products: products.map(({ source: _, ...rest }) => rest),
    },
    operands: operands.slots,
    launch: launchOf(gpu, gpu.wavesPerWorkgroup, most, lds.total),
  };
}

/** y = f(gate) * up, both from one value. */
export function gatedUnit(step: ProjectStep, target: GpuTarget): GpuKernelCall {
  const { gpu } = target;
  const operands = new DeviceOperands();
  operands.input("x", step.input);
  operands.output("y", step.output);
  const gate = gateParams(step, operands, gpu);
  const [first, second] = step.parts as [ProjectionPart, ProjectionPart];
  const gateBias = biasName([first], "gate_bias", operands);
  const upBias = biasName([second], "up_bias", operands);
  const sources: PlainSource[] = [];
  const products = plainTiers(step).map((tier) => {
    const [a, b] = [sourceOf(first, tier), sourceOf(second, tier)];
    sources.push(a, b);
    return {
      ...product(tier, a),
      splits: splitsOf(a, gpu, b),
      gateType: shapeOf(a).dtype,
      upType: shapeOf(b).dtype,
      gateWeight: operands.weight(tier === "fast" ? "gate_image" : "gate_weight", a),
      upWeight: operands.weight(tier === "fast" ? "up_image" : "up_weight", b),
      gateBias,
      upBias,
    };
  });
  const lds = memoryOf(step, gpu, 2, sources);
  const most = Math.max(...products.map(({ splits }, tier) => groupsOf(sources[2 * tier]!, gpu, splits)));
  return {
    template: "gated_unit",
    symbol: nameOf(step),
    params: { ...common(step, operands, target), stageBytes: lds.stage, gate, products },
    operands: operands.slots,
    launch: launchOf(gpu, gpu.wavesPerWorkgroup, most, lds.total),
  };
}

/** What both templates of a projection take, when all operands but those of the norm are collected. */
function common(step: ProjectStep, operands: DeviceOperands, { device, gpu }: GpuTarget) {
  const norm = normParams(step.norm, operands, step.squares === null);
  return {
    summary: `${prefix(step.norm)}${projectSummary(step)}`,
    shape: projectShape(step),
    account: projectAccount(step, device),
    parameters: operands.parameters,
    waves: gpu.wavesPerWorkgroup,
    d: step.d,
    activation: step.activation ?? "identity",
    norm,
  };
}

function nameOf(step: ProjectStep): string {
  return `${projectName(step)}${step.norm === null ? "" : `_${step.norm.method}`}`;
}

function prefix(norm: NormNode | null): string {
  return norm === null ? "" : `x = ${normFormula(norm.method, "h")}; `;
}

/** The parameters of a norm on the way in, of all columns or of those that a gate leaves; null without one. */
function normParams(norm: NormNode | null, operands: DeviceOperands, ofAll: boolean) {
  if (norm === null) return null;
  operands.vector("gain", norm.gain);
  return {
    ofAll,
    layer: norm.method === "layer",
    bias: norm.bias === null ? "nullptr" : operands.vector("shift", norm.bias),
    epsilon: floatLiteral(norm.epsilon),
  };
}

function gateParams(step: ProjectStep, operands: DeviceOperands, gpu: GpuShape) {
  const { gate, squares, norm, normed, d } = step;
  if (gate === null) return null;
  if (squares !== null) {
    operands.input("g", gate.coordinates);
    operands.input("squares", squares, "const double");
  }
  const basis: PlainSource = { kind: "basis", input: normed, k: gate.k, d };
  operands.weight("basis", basis);
  return {
    counters: step.counts
      ? operands.add("counters", "uint64_t", { kind: "counter", gate: gateName(normed, "subspace", true) })
      : "nullptr",
    k: gate.k,
    epsilon: doubleLiteral(gate.epsilon),
    measures: norm !== null && squares !== null,
    own: squares === null ? { splits: ruledSplits(basis, { ...gpu, computeUnits: 1 }) } : null,
  };
}

/** LDS of a projection. */
function memoryOf(step: ProjectStep, gpu: GpuShape, matrices: number, sources: readonly PlainSource[]) {
  const { gate, squares, norm, normed, d } = step;
  const own = gate !== null && squares === null;
  const basis: readonly PlainSource[] = own ? [{ kind: "basis", input: normed, k: gate.k, d }] : [];
  return ldsOf(gpu, matrices, [...sources, ...basis], {
    norm: norm !== null,
    gate: gate !== null,
    coordinates: own ? coordinateBytes(gate.k) : 0,
  });
}

/** The tiers of a projection without quantised matrices. */
function plainTiers(step: ProjectStep): readonly Tier[] {
  if (step.parts.some(({ quantized }) => quantized !== null))
    throw new Error("kernels of GPUs have no tier at few bits yet");
  return tiers(step).map(({ tier }) => tier);
}

function sourceOf(part: ProjectionPart, tier: Tier): PlainSource {
  return tier === "fast" ? part.image! : part.weight;
}

/** What a product of a tier's matrix with its input is made of. */
function product(tier: Tier, source: PlainSource) {
  const { out, d } = shapeOf(source);
  const columns = tier === null ? "columns" : tier === "fast" ? "tiers.closed" : "tiers.open";
  return { tier, out, d, columns, input: tier === "fast" ? "coordinates" : "source" };
}

/** Parts whose matrices have one type and whole tiles, as one matrix each: fewer, larger products. */
function stack(parts: readonly ProjectionPart[], tier: Tier) {
  const runs: { parts: ProjectionPart[]; column: number }[] = [];
  for (const part of parts) {
    const run = runs.at(-1);
    const last = run?.parts.at(-1);
    const shape = shapeOf(sourceOf(part, tier));
    const before = last && shapeOf(sourceOf(last, tier));
    if (run && before?.dtype === shape.dtype && before.d === shape.d && before.out % tileRows === 0)
      run.parts.push(part);
    else runs.push({ parts: [part], column: part.column });
  }
  return runs.map((run) => {
    const sources = run.parts.map((part) => sourceOf(part, tier));
    const source: PlainSource = sources.length === 1 ? sources[0]! : { kind: "stacked", parts: sources };
    return { source, ...run };
  });
}

/** The parameter that holds the parts' biases, one after another; null if there are none. */
function biasName(parts: readonly ProjectionPart[], name: string, operands: DeviceOperands): string | null {
  if (parts.every(({ bias }) => bias === null)) return null;
  if (operands.slots.some((slot) => slot.name === name)) return name;
  const only = parts.length === 1 ? parts[0]!.bias : null;
  if (only !== null) return operands.vector(name, only);
  const biases = parts.map(({ bias, weight }) => ({ vector: bias, length: shapeOf(weight).out }));
  return operands.add(name, "const float", { kind: "biases", parts: biases });
}
