import type { GpuTarget } from "../../config/target.js";
import type { DeviceStep } from "../../ir/steps.js";
import { rowBytes } from "../../layout/matrix.js";
import { unitLayouts } from "../../layout/planes.js";
import { maxColumns } from "../../layout/stride.js";
import { floatLiteral } from "../literal.js";
import { bytesRead, type GpuKernelCall } from "../operands.js";
import { normFormula } from "../projection.js";
import { attend, combine } from "./attention.js";
import { launchOf, smallWaves } from "./division.js";
import { factors } from "./factors.js";
import { DeviceOperands } from "./operands.js";
import { glu, project } from "./projection.js";

/** The kernel call of a GPU's step. `context` is the length of the KV cache. */
export function deviceKernelOf(step: DeviceStep, context: number, target: GpuTarget): GpuKernelCall {
  switch (step.kind) {
    case "embed":
      return embed(step, target);
    case "norm":
      return norm(step, target);
    case "factors":
      return factors(step, target);
    case "project":
      return step.glu ? glu(step, context, target) : project(step, context, target);
    case "attend":
      return attend(step, context, target);
    case "combine":
      return combine(step, context, target);
    case "choose":
      return choose(step, target);
    default:
      return step satisfies never;
  }
}

type StepOf<Kind extends DeviceStep["kind"]> = Extract<DeviceStep, { kind: Kind }>;

function embed(step: StepOf<"embed">, { device, gpu }: GpuTarget): GpuKernelCall {
  const operands = new DeviceOperands();
  operands.output("y", step.output);
  const tables = step.tables.map(({ table, index, offset, scale }) => ({
    name: operands.weight(`${index}_table`, { kind: "stored", matrix: table }, null),
    type: table.dtype,
    out: table.out,
    d: table.d,
    scale: scale === 1 ? null : floatLiteral(scale),
    index: `${index === "token" ? "now.token(column)" : "now.position(column)"}${offset === 0 ? "" : ` + ${offset}`}`,
  }));
  const bytes = step.tables.reduce((sum, { table }) => sum + rowBytes(device, table), 0);
  const elements = Math.max(...step.tables.map(({ table }) => unitLayouts[table.dtype].elements));
  const items = maxColumns * Math.ceil(step.width / elements);
  return {
    template: "embed",
    symbol: `embed_${step.width}`,
    params: {
      summary: `y = ${step.tables.map(({ index }) => `${index} row`).join(" + ")}`,
      shape: `y [columns, ${step.width}]`,
      account: bytesRead(bytes),
      parameters: operands.parameters,
      waves: smallWaves,
      width: step.width,
      elements,
      tables,
    },
    operands: operands.slots,
    launch: launchOf(gpu, smallWaves, items / (smallWaves * gpu.wave), 0),
  };
}

function norm({ node, width, output, residual }: StepOf<"norm">, { gpu }: GpuTarget): GpuKernelCall {
  const operands = new DeviceOperands();
  operands.input("x", node.input);
  operands.output("y", output);
  operands.vector("gain", node.gain);
  const bias = node.bias === null ? "nullptr" : operands.vector("shift", node.bias);
  const added = residual === null ? null : operands.input("residual", residual);
  const lds = maxColumns * smallWaves * 4 + maxColumns * 8;
  return {
    template: "norm",
    symbol: `${node.method}_norm_${width}`,
    params: {
      summary: `y = ${normFormula(node.method, "x")}${residual === null ? "" : " + residual"}`,
      shape: `x, y [columns, ${width}]`,
      account: bytesRead(4 * width * (node.bias ? 2 : 1)),
      parameters: operands.parameters,
      waves: smallWaves,
      width,
      layer: node.method === "layer",
      bias,
      residual: added,
      epsilon: floatLiteral(node.epsilon),
    },
    operands: operands.slots,
    launch: launchOf(gpu, smallWaves, maxColumns, lds),
  };
}

function choose({ input, output, vocabulary }: StepOf<"choose">, { gpu }: GpuTarget): GpuKernelCall {
  const operands = new DeviceOperands();
  operands.input("logits", input);
  operands.output("choices", output, "gsic_choice");
  const waves = gpu.wavesPerWorkgroup;
  return {
    template: "choose",
    symbol: `choose_${vocabulary}`,
    params: {
      summary:
        "id = the arg-max of a column's logits, -1 if one is not finite; and the position and token that were read",
      shape: `logits [columns, ${vocabulary}], choices [columns]`,
      account: bytesRead(0),
      parameters: operands.parameters,
      waves,
      vocabulary,
    },
    operands: operands.slots,
    launch: launchOf(gpu, waves, maxColumns, 12 * waves),
  };
}
