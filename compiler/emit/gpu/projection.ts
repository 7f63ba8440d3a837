import type { GpuShape, GpuTarget } from "../../config/target.js";
import type { DeviceStep, PlainSource, ProjectionPart, WeightSource } from "../../ir/steps.js";
import { shapeOf } from "../../layout/shape.js";
import { tileRows } from "../../layout/tiles.js";
import type { GpuKernelCall, TierMatrix } from "../operands.js";
import {
  projectAccount,
  projectName,
  projectShape,
  projectSummary,
  type Tier,
  tiers,
} from "../projection.js";
import { isAhead } from "./ahead.js";
import { attendedType } from "./attention.js";
import { groupsOf, launchOf, splitsOf, unitShapeOf } from "./division.js";
import { factorParams, memoryOf } from "./factors.js";
import { normParams, prefix } from "./norm.js";
import { DeviceOperands } from "./operands.js";

type ProjectStep = Extract<DeviceStep, { kind: "project" }>;

/** y = f(W x + b) + residual, for all linears that read one value, in one tier or two. */
export function project(step: ProjectStep, context: number, target: GpuTarget): GpuKernelCall {
  const { gpu } = target;
  const operands = new DeviceOperands();
  operands.input("x", step.input);
  const norm = normOf(step, operands, gpu);
  operands.output("y", step.output);
  const residual = step.residual === null ? null : operands.input("residual", step.residual);
  const before = factorParams(step, operands, gpu);
  const ahead = isAhead(step, gpu);
  const products = tiers(step).flatMap(({ tier, of }) =>
    stack(step.parts, of).map(({ source, parts, column }, index) => {
      const { type, out, rank } = unitShapeOf(source);
      return {
        ...product(step, tier, of, source),
        splits: splitsOf(source, gpu),
        type,
        rank,
        begun: ahead && index === 0,
        column,
        last: column + out - 1,
        weight: operands.weight(`${of}${index}`, source, {
          tier: of,
          linears: parts.map(({ linear }) => linear),
        }),
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
      ...common(step, operands, target, context),
      norm,
      width: step.width,
      stageBytes: lds.stage,
      select: step.head ? "wanted_columns" : "all_columns",
      residual,
      ...before,
      ahead: ahead ? aheadOf(products, products[0]!.type, operands) : null,
      squares: null,
      products: products.map(({ source: _, ...rest }) => rest),
    },
    operands: operands.slots,
    launch: launchOf(gpu, gpu.wavesPerWorkgroup, most, lds.total),
    alone: ahead,
  };
}

/** y = f(gate) * up, both from one value. */
export function glu(step: ProjectStep, context: number, target: GpuTarget): GpuKernelCall {
  const { gpu } = target;
  const operands = new DeviceOperands();
  operands.input("x", step.input);
  const norm = normOf(step, operands, gpu);
  operands.output("y", step.output);
  const before = factorParams(step, operands, gpu);
  const [first, second] = step.parts as [ProjectionPart, ProjectionPart];
  const gateBias = biasName([first], "gate_bias", operands);
  const upBias = biasName([second], "up_bias", operands);
  const sources: WeightSource[] = [];
  const ahead = isAhead(step, gpu);
  const products = tiers(step).map(({ tier, of }) => {
    const [a, b] = [first[of]!, second[of]!];
    sources.push(a, b);
    const { type: gateType, rank } = unitShapeOf(a);
    return {
      ...product(step, tier, of, a),
      splits: splitsOf(a, gpu, b),
      begun: ahead,
      gateType,
      upType: unitShapeOf(b).type,
      rank,
      gateWeight: operands.weight(`gate_${of}`, a, { tier: of, linears: [first.linear] }),
      upWeight: operands.weight(`up_${of}`, b, { tier: of, linears: [second.linear] }),
      gateBias,
      upBias,
    };
  });
  const lds = memoryOf(step, gpu, 2, sources);
  const most = Math.max(...products.map(({ splits }, tier) => groupsOf(sources[2 * tier]!, gpu, splits)));
  return {
    template: "glu",
    symbol: nameOf(step),
    params: {
      ...common(step, operands, target, context),
      norm,
      stageBytes: lds.stage,
      ...before,
      ahead: ahead ? aheadOf(products, products[0]!.gateType, operands) : null,
      products,
    },
    operands: operands.slots,
    launch: launchOf(gpu, gpu.wavesPerWorkgroup, most, lds.total),
    alone: ahead,
  };
}

/** What normalises the input; a kernel's first parameters are those that it asks for memory by first. */
function normOf(step: ProjectStep, operands: DeviceOperands, gpu: GpuShape) {
  // Where coordinates are given, the gate measures the columns that it leaves.
  const ofAll = (step.gate === null || step.given === null) && !isAhead(step, gpu);
  return normParams(step.norm, operands, ofAll);
}

/** What both templates of a projection take, when all operands are collected. */
function common(step: ProjectStep, operands: DeviceOperands, { device, gpu }: GpuTarget, context: number) {
  return {
    summary: `${prefix(step.norm)}${projectSummary(step)}`,
    shape: projectShape(step),
    account: projectAccount(step, device),
    parameters: operands.parameters,
    waves: gpu.wavesPerWorkgroup,
    d: step.d,
    activation: step.activation ?? "identity",
    inputType: step.attended === null ? `Direct<${step.d}>` : attendedType(step.attended, context, gpu),
  };
}

/** What says how a kernel begins whose first product's weights, of a type, are on their way before its input is ready. */
function aheadOf(products: readonly { readonly splits: number }[], type: string, { names }: DeviceOperands) {
  return { names, type, splits: products[0]!.splits, only: products.length === 1 };
}

function nameOf(step: ProjectStep): string {
  const input = step.attended === null ? "" : "_of_parts";
  return `${projectName(step)}${step.norm === null ? input : `_${step.norm.method}`}`;
}

/** What a product of a tier's matrix with its input is made of. */
function product({ gate, exact, correction }: ProjectStep, tier: Tier, of: TierMatrix, source: WeightSource) {
  const { out, d } = unitShapeOf(source);
  const behindGate = gate === null ? "columns" : "tiers.open";
  const columns = {
    image: "tiers.closed",
    quantized: exact === null ? behindGate : "exact.closed",
    weight: exact === null ? behindGate : "exact.open",
  };
  const quantized = correction === null ? "source" : "corrected";
  const input = { image: "coordinates", quantized, weight: "source" };
  return { tier, out, d, columns: columns[of], input: input[of] };
}

/** Parts whose matrices have one type and whole tiles, as one matrix each: fewer, larger products. */
function stack(parts: readonly ProjectionPart[], of: TierMatrix) {
  const runs: { parts: ProjectionPart[]; column: number }[] = [];
  for (const part of parts) {
    const run = runs.at(-1);
    const last = run?.parts.at(-1);
    if (run && last && stackable(last[of]!, part[of]!)) run.parts.push(part);
    else runs.push({ parts: [part], column: part.column });
  }
  return runs.map((run) => {
    const sources = run.parts.map((part) => part[of]!);
    const plain = sources.flatMap((source): PlainSource[] => ("quantizer" in source ? [] : [source]));
    const source: WeightSource = sources.length === 1 ? sources[0]! : { kind: "stacked", parts: plain };
    return { source, ...run };
  });
}

function stackable(before: WeightSource, source: WeightSource): boolean {
  if ("quantizer" in before || "quantizer" in source) return false;
  const [a, b] = [shapeOf(before), shapeOf(source)];
  return a.dtype === b.dtype && !a.ordered && !b.ordered && a.d === b.d && a.out % tileRows === 0;
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
