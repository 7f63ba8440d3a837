/** One basis per layer, out of statistics per input: every input of a layer that has the hidden size gets their mean. */

import { closeSync, copyFileSync, openSync, writeSync } from "node:fs";
import type { Graph } from "../../compiler/ir/graph.js";
import { readAt, withFile } from "../../compiler/read/file.js";
import { type RawTensorInfo, readSafetensorsHeader } from "../../compiler/read/safetensors.js";

/** The inputs that have one basis together: what the linears of one layer read, where it has the hidden size. */
export interface LayerInputs {
  readonly layer: number;
  readonly inputs: readonly string[];
}

/** The width of what the first linear of the first layer reads. */
export function hiddenSize(graph: Graph): number {
  return linearsOfLayers(graph)[0]!.d;
}

/** The inputs of every layer that have the hidden size, in the order of the graph. */
export function sharedInputs(graph: Graph): LayerInputs[] {
  const hidden = hiddenSize(graph);
  const layers = new Map<number, Set<string>>();
  for (const { layer, input, d } of linearsOfLayers(graph)) {
    if (d === hidden) layers.set(layer, (layers.get(layer) ?? new Set()).add(input));
  }
  return [...layers].map(([layer, inputs]) => ({ layer, inputs: [...inputs] }));
}

function linearsOfLayers({ nodes }: Graph): { layer: number; input: string; d: number }[] {
  return nodes.flatMap((node) => {
    const layer = node.kind === "linear" ? /^layer(\d+)_/.exec(node.id)?.[1] : undefined;
    if (node.kind !== "linear" || layer === undefined) return [];
    return [{ layer: Number(layer), input: node.input, d: node.weight.d }];
  });
}

/** What describes the distribution of one input; the number of tokens is the same for all inputs of a layer. */
const moments = ["mean", "mean_squared_norm", "second_moment", "sketch.product"];

/**
 * Writes a file of statistics in which the inputs of a layer hold the same: the mean of theirs. C is a mean over
 * tokens, so that this is the C of the layer's activations stacked, and its leading eigenvectors are the right
 * singular vectors of the stack. Sketches are linear in C, and those of one width have one seed.
 */
export function shareStatistics(stats: string, layers: readonly LayerInputs[], out: string): void {
  copyFileSync(stats, out);
  const { tensors } = readSafetensorsHeader(stats);
  const target = openSync(out, "r+");
  try {
    for (const { inputs } of layers) {
      for (const moment of moments) {
        const found = inputs.flatMap((input) => tensors.get(`${input}.${moment}`) ?? []);
        if (found.length === 0) continue;
        const mean = meanOf(found);
        for (const { offset } of found) writeSync(target, mean, 0, mean.length, offset);
      }
    }
  } finally {
    closeSync(target);
  }
}

/** The bytes of the mean of tensors of one shape, F32 or F64. */
function meanOf(tensors: readonly RawTensorInfo[]): Uint8Array {
  const { bytes, dtype } = tensors[0]!;
  const array = dtype === "F64" ? Float64Array : Float32Array;
  const sum = new Float64Array(bytes / array.BYTES_PER_ELEMENT);
  for (const { file, offset } of tensors) {
    const data = withFile(file, (opened) => readAt(opened, offset, bytes));
    const values = new array(data.buffer as ArrayBuffer, data.byteOffset, sum.length);
    for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
  }
  const mean = sum.map((value) => value / tensors.length);
  return new Uint8Array((dtype === "F64" ? mean : Float32Array.from(mean)).buffer);
}
