import { matrixBytes } from "../cost.js";
import type { Step } from "../ir.js";
import { floatLiteral } from "./literal.js";
import { bytesRead, isPadded, type KernelCall, Operands } from "./operands.js";
import { basis, gatedUnit, project } from "./projection.js";

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
    type: table.dtype,
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
