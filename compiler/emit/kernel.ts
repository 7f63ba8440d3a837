import type { CacheElement } from "../../templates/params.js";
import type { CacheType, NormNode } from "../ir/graph.js";
import type { Step } from "../ir/steps.js";
import { cacheBlock, cachedBytes } from "../layout/cache.js";
import { rowBytes } from "../layout/matrix.js";
import { elementType } from "./element.js";
import { floatLiteral } from "./literal.js";
import { bytesRead, type CpuKernelCall, isPadded, Operands } from "./operands.js";
import { basis, glu, normFormula, project } from "./projection.js";
import { rescore, screen } from "./screen.js";

/** The kernel call of a step. `context` is the length of the KV cache. */
export function kernelOf(step: Step, context: number): CpuKernelCall {
  switch (step.kind) {
    case "embed":
      return embed(step);
    case "norm":
      return norm(step);
    case "basis":
      return basis(step);
    case "project":
      return step.glu ? glu(step) : project(step);
    case "cache":
      return cache(step, context);
    case "attend":
      return attend(step, context);
    case "screen":
      return screen(step);
    case "rescore":
      return rescore(step);
    default:
      return step satisfies never;
  }
}

type StepOf<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

function embed(step: StepOf<"embed">): CpuKernelCall {
  const operands = new Operands();
  operands.value("y", step.output, "write");
  const tables = step.tables.map(({ table, index, offset, scale }) => ({
    type: elementType(table),
    out: table.out,
    d: table.d,
    scale: scale === 1 ? null : floatLiteral(scale),
    argument: operands.weight(`${index}_table`, { kind: "stored", matrix: table }, null),
    index: `${index === "token" ? "now.token" : "now.position"}${offset === 0 ? "" : ` + ${offset}`}`,
  }));
  const bytes = step.tables.reduce((sum, { table }) => sum + rowBytes("cpu", table), 0);
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
    launch: null,
    cores: [],
  };
}

function norm({ node, width, output, residual }: StepOf<"norm">): CpuKernelCall {
  const operands = new Operands();
  operands.value("x", node.input, "read");
  operands.value("y", output, "write");
  operands.bias("gain", node.gain);
  const layer = node.method === "layer";
  const formula = `y = ${normFormula(node.method, "x")}`;
  return {
    template: "norm",
    symbol: `${node.method}_norm_${width}`,
    params: {
      summary: residual === null ? formula : `${formula} + residual`,
      shape: `x, y [columns, ${width}]`,
      account: bytesRead(4 * width * (node.bias ? 2 : 1)),
      width,
      layer,
      bias: operands.bias("bias", node.bias),
      residual: residual === null ? null : operands.value("residual", residual, "read"),
      epsilon: floatLiteral(node.epsilon),
    },
    operands: operands.slots,
    launch: null,
    cores: [],
  };
}

const cacheElements: Readonly<Record<CacheType, CacheElement>> = {
  f32: null,
  f16: "CacheF16",
  int8: "CacheInt8",
};
const typeSuffix = (type: CacheType) => (type === "f32" ? "" : `_${type}`);

function cache(step: StepOf<"cache">, context: number): CpuKernelCall {
  const { heads, kvHeads, headDim, cache: type } = step.attention;
  const operands = new Operands();
  const changes = step.norms !== null || step.rope !== null;
  operands.value("source", step.source, changes ? "update" : "read");
  const place = { kind: "cache", layer: step.layer, forDrafts: step.forDrafts ?? false } as const;
  operands.add("keys", "float", { ...place, part: "keys" }, "write");
  operands.add("values", "float", { ...place, part: "values" }, "write");
  const normParams = (name: string, { gain, epsilon }: NormNode) => ({
    gain: operands.add(name, "float", { kind: "vector", vector: gain }),
    epsilon: floatLiteral(epsilon),
  });
  const norms = step.norms && {
    query: normParams("query_gain", step.norms.query),
    key: normParams("key_gain", step.norms.key),
  };
  const rope = step.rope && {
    table: operands.add("rope", "float", { kind: "rope", rope: step.rope }),
    rotaryDim: step.rope.rotaryDim,
    pairing: step.rope.pairing,
  };
  return {
    template: "cache",
    symbol: `cache_${heads}x${kvHeads}x${headDim}${typeSuffix(type)}`,
    params: {
      summary: `${norms ? "normalise the heads of query and key; " : ""}${rope ? "rotate query and key by their position; " : ""}append key and value to the cache`,
      shape: `source [columns, ${step.sourceWidth}], cache [${kvHeads}, length, ${headDim}] twice${type === "f32" ? "" : `, ${type}`}`,
      account: bytesRead(rope ? 4 * rope.rotaryDim : 0),
      heads,
      kvHeads,
      headDim,
      block: cacheBlock(context),
      element: cacheElements[type],
      sourceWidth: step.sourceWidth,
      queryColumn: step.queryColumn,
      keyColumn: step.keyColumn,
      valueColumn: step.valueColumn,
      norms,
      rope,
    },
    operands: operands.slots,
    launch: null,
    cores: [],
  };
}

function attend(step: StepOf<"attend">, context: number): CpuKernelCall {
  const { heads, kvHeads, headDim, scale, window, cache: type } = step.attention;
  const operands = new Operands();
  operands.value("source", step.source, "read");
  operands.value("y", step.output, "write");
  operands.add("keys", "float", { kind: "cache", layer: step.layer, part: "keys" });
  operands.add("values", "float", { kind: "cache", layer: step.layer, part: "values" });
  const width = heads * headDim;
  return {
    template: "attend",
    symbol: `attend_${heads}x${kvHeads}x${headDim}${typeSuffix(type)}`,
    params: {
      summary: `y = softmax(scale q K^T) V, causal, per head${window === null ? "" : `, over ${window} positions`}`,
      shape: `q [columns, ${heads}, ${headDim}], K, V [${kvHeads}, length, ${headDim}]${type === "f32" ? "" : ` ${type}`}, y [columns, ${width}]`,
      account: `reads ${2 * kvHeads * cachedBytes(type, headDim)} bytes of the cache per position`,
      heads,
      kvHeads,
      headDim,
      block: cacheBlock(context),
      element: cacheElements[type],
      sourceWidth: step.sourceWidth,
      queryColumn: step.queryColumn,
      width,
      padded: isPadded(width),
      window: window === null || window >= context ? null : window,
      scale: floatLiteral(scale),
    },
    operands: operands.slots,
    launch: null,
    cores: [],
  };
}
