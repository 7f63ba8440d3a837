import type { GpuCacheElement } from "../../../templates/gpu-params.js";
import type { GpuShape, GpuTarget } from "../../config/target.js";
import type { AttentionNode, CacheType, NormNode } from "../../ir/graph.js";
import type { DeviceStep, Step } from "../../ir/steps.js";
import { cacheBlock, cachedBytes } from "../../layout/cache.js";
import { maxColumns, roundUp, stepBytes } from "../../layout/stride.js";
import type { AttentionParts } from "../../lower/fuse.js";
import { floatLiteral } from "../literal.js";
import { bytesRead, type GpuKernelCall } from "../operands.js";
import { isAhead } from "./ahead.js";
import { launchOf } from "./division.js";
import { DeviceOperands } from "./operands.js";

type StepOf<Kind extends DeviceStep["kind"]> = Extract<DeviceStep, { kind: Kind }>;

type HeadShape = Pick<AttentionNode, "heads" | "kvHeads" | "headDim">;

/** Lanes of attention's workgroups. */
const threads = 256;
/** Keys or values that a lane holds of a part, in fours: 16 of f32 take 64 registers. */
const heldFours = 16;
/** Longer parts leave compute units without one behind a few thousand tokens, shorter ones are more to combine. */
const maxPart = 128;

/** How attention is cut: positions of a part, and the most parts and floats of parts of a column. */
export function attentionCut(
  { heads, headDim, window }: Pick<AttentionNode, "heads" | "headDim" | "window">,
  context: number,
  { wave }: GpuShape,
) {
  const seen = window === null ? context : Math.min(window, context);
  const fits = (threads * heldFours * 4) / powerOfTwoFrom(headDim);
  const part = Math.max(wave, Math.min(maxPart, fits, powerOfTwoFrom(context)));
  const parts = Math.min(Math.ceil(context / part), Math.ceil((seen - 1) / part) + 1);
  const partialWidth = parts === 1 ? 0 : heads * parts * (4 + roundUp(headDim, 16));
  return { part, window: seen, parts, partialWidth };
}

/** Parts that a projection stages at most: each is read by all its workgroups. */
const mostStaged = 4;
/** Fours of channels of parts that a lane holds, of a column alone; six registers each. */
const heldParts = 8;

/** How attention leaves parts, and how many of them the projection that reads them adds up where it stages them. */
export function partsOf(
  attention: AttentionNode,
  reader: Extract<Step, { kind: "project" }> | null,
  context: number,
  gpu: GpuShape,
): AttentionParts {
  const { parts, partialWidth } = attentionCut(attention, context, gpu);
  const staged = reader === null ? 0 : Math.min(parts, stagedBy(reader, attention, gpu));
  return {
    width: partialWidth,
    staged: staged > 1 ? staged : 0,
    combined: parts > Math.max(1, staged),
  };
}

/** Parts that a projection may stage: where weights are on their way meanwhile, and a lane has the registers. */
function stagedBy(
  reader: Extract<Step, { kind: "project" }>,
  { headDim }: AttentionNode,
  gpu: GpuShape,
): number {
  if (headDim % 4 !== 0 || !isAhead({ ...reader, norm: null }, gpu)) return 0;
  const turns = Math.ceil(reader.d / (4 * gpu.wave * gpu.wavesPerWorkgroup));
  return Math.min(mostStaged, Math.floor(heldParts / turns));
}

/** C++ type of an input that is parts. */
export function attendedType(
  { attention, partials }: NonNullable<StepOf<"project">["attended"]>,
  context: number,
  gpu: GpuShape,
): string {
  const { heads, headDim } = attention;
  const { part, window, parts } = attentionCut(attention, context, gpu);
  return `Attended<${heads * headDim}, ${headDim}, Cut<${part}, ${window}, ${parts}, ${partials.staged}>>`;
}

/** Query heads that a workgroup takes together: of a group, as many as keep their sums in registers and LDS. */
export function headsTogether({ heads, kvHeads, headDim }: HeadShape): number {
  const group = heads / kvHeads;
  const most = Math.max(1, Math.min(4, 512 / powerOfTwoFrom(headDim)));
  return Math.ceil(group / Math.ceil(group / most));
}

/** How a GPU's cache keeps numbers, as templates/include/gsic/gpu/attention_shape.h calls it. */
function elementOf(cache: CacheType): GpuCacheElement {
  if (cache === "int8") throw new Error("a GPU's cache holds f32 or f16, not int8");
  return cache === "f16" ? "CacheF16" : "CacheF32";
}

/** Attention over the parts of the positions. */
export function attend(step: StepOf<"attend">, context: number, { gpu }: GpuTarget): GpuKernelCall {
  const { heads, kvHeads, headDim, scale, cache } = step.attention;
  const { part, window, parts } = attentionCut(step.attention, context, gpu);
  const together = headsTogether(step.attention);
  const suffix = `${cache === "f32" ? "" : `_${cache}`}${step.drafts ? `_drafts_${step.drafts.cache}` : ""}`;
  const waves = threads / gpu.wave;
  const operands = new DeviceOperands();
  operands.input("source", step.source);
  const staged = step.partials?.staged ?? 0;
  const y = staged > 0 ? "nullptr" : operands.output("y", step.output);
  operands.add("keys", "float", { kind: "cache", layer: step.layer, part: "keys" }, "update");
  operands.add("values", "float", { kind: "cache", layer: step.layer, part: "values" }, "update");
  const place = { kind: "cache", layer: step.layer, forDrafts: true } as const;
  if (step.drafts !== undefined) {
    operands.add("draft_keys", "float", { ...place, part: "keys" }, "write");
    operands.add("draft_values", "float", { ...place, part: "values" }, "write");
  }
  if (step.rope !== null) operands.add("angles", "const float", { kind: "rope", rope: step.rope });
  const epsilonOf = (name: string, { gain, epsilon }: NormNode) => {
    operands.vector(name, gain);
    return floatLiteral(epsilon);
  };
  const norms = step.norms && {
    queryEpsilon: epsilonOf("query_gain", step.norms.query),
    keyEpsilon: epsilonOf("key_gain", step.norms.key),
  };
  const partials = step.partials === null ? "nullptr" : operands.output("partials", step.partials.output);
  const rotary = step.rope && { dim: step.rope.rotaryDim, pairing: step.rope.pairing };
  const items = kvHeads * Math.ceil(heads / kvHeads / together);
  return {
    template: "attend",
    symbol: `attend_${heads}x${kvHeads}x${headDim}${suffix}`,
    params: {
      summary: `${norms ? "normalise the heads of query and key; " : ""}${rotary ? "rotate them by their position; " : ""}append key and value to the cache; y = softmax(scale q K^T) V, causal, per head${window < context ? `, over ${window} positions` : ""}${parts > 1 ? `, in parts of ${part}` : ""}`,
      shape: `source [columns, ${step.sourceWidth}], K, V [${kvHeads}, length, ${headDim}]${cache === "f32" ? "" : ` ${cache}`}, y [columns, ${heads * headDim}]`,
      account: `reads ${2 * kvHeads * cachedBytes(cache, headDim)} bytes of the cache per position and ${together} heads`,
      parameters: operands.parameters,
      waves,
      heads,
      kvHeads,
      headDim,
      block: cacheBlock(context),
      element: elementOf(cache),
      drafts: step.drafts === undefined ? null : elementOf(step.drafts.cache),
      part,
      window,
      parts,
      staged,
      together,
      y,
      sourceWidth: step.sourceWidth,
      queryColumn: step.queryColumn,
      keyColumn: step.keyColumn,
      valueColumn: step.valueColumn,
      partials,
      scale: floatLiteral(scale),
      norms,
      rotary,
    },
    operands: operands.slots,
    launch: launchOf(gpu, waves, maxColumns * items * parts, attentionLds(step.attention, context, gpu)),
  };
}

/** Bytes of `AttentionMemory` in templates/include/gsic/gpu/attention_shape.h. */
function attentionLds(attention: AttentionNode, context: number, gpu: GpuShape): number {
  const { part } = attentionCut(attention, context, gpu);
  const together = headsTogether(attention);
  const padded = roundUp(attention.headDim, 16);
  const blocks = roundUp(stepBytes, 16) + 8 * Math.ceil(part / cacheBlock(context));
  const scores =
    roundUp(blocks, 16) + (2 * part + maxColumns) * together * 4 + 2 * together * (part / gpu.wave) * 4;
  const staged = (together + 2 * maxColumns) * padded * 4;
  const run = 16 / cachedBytes(attention.cache, 1);
  const lanes = Math.min(powerOfTwoFrom(padded / run), gpu.wave);
  const channels = lanes * Math.ceil(padded / run / lanes) * run;
  const sums = (threads / gpu.wave) * Math.min(2, gpu.wave / lanes) * together * channels * 4;
  return roundUp(roundUp(scores, 16) + Math.max(staged, sums), 16);
}

/** Lanes that share a part, and their channels, in runs of four each. */
function lanesOf(headDim: number, wave: number): number {
  return Math.min(powerOfTwoFrom(Math.ceil(headDim / 4)), wave);
}
function laneChannels(headDim: number, wave: number): number {
  const lanes = lanesOf(headDim, wave);
  return lanes * Math.ceil(Math.ceil(headDim / 4) / lanes) * 4;
}

/** The parts of columns that see several, together. */
export function combine(step: StepOf<"combine">, context: number, { gpu }: GpuTarget): GpuKernelCall {
  const { heads, headDim } = step.attention;
  const { part, window, parts } = attentionCut(step.attention, context, gpu);
  const waves = threads / gpu.wave;
  const operands = new DeviceOperands();
  const { staged, output } = step.partials;
  if (staged > 0) operands.add("partials", "float", { kind: "value", id: output }, "update");
  else operands.input("partials", output);
  const y = staged > 0 ? "partials" : operands.output("y", step.output);
  const groups = threads / lanesOf(headDim, gpu.wave);
  const lds = roundUp(stepBytes + 12 * parts, 16) + groups * laneChannels(headDim, gpu.wave) * 4;
  return {
    template: "combine",
    symbol: `combine_${heads}x${headDim}`,
    params: {
      summary: `y = what attention left of parts of ${part} positions, together`,
      shape: `partials [columns, ${heads}, ${parts}, ${4 + roundUp(headDim, 16)}], y [columns, ${heads * headDim}]`,
      account: bytesRead(0),
      parameters: operands.parameters,
      waves,
      heads,
      headDim,
      part,
      window,
      parts,
      staged,
      y,
    },
    operands: operands.slots,
    launch: launchOf(gpu, waves, maxColumns * heads, roundUp(lds, 16)),
    from: part * Math.max(1, staged),
  };
}

function powerOfTwoFrom(n: number): number {
  return 2 ** Math.ceil(Math.log2(n));
}
