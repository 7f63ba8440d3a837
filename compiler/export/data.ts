import type { Algebra } from "../calibrate/algebra.js";
import { isPlain, plainBytes } from "../calibrate/blocks.js";
import { roundedElements, roundedRows } from "../calibrate/rounded.js";
import type { StatsFile } from "../calibrate/stats-file.js";
import type { Graph, MatrixRef } from "../ir/graph.js";
import { linearById } from "../ir/walk.js";
import type { GgufType } from "../read/gguf-types.js";
import type { GgufTensor } from "../read/gguf-write.js";
import type { Weights } from "../read/weights.js";
import type { MatrixToExport, PairedHeads, VectorToExport } from "./tensors.js";

/** What the data of tensors is made from. */
export interface TensorMaker {
  readonly graph: Graph;
  readonly weights: Weights;
  readonly algebra: Algebra;
  /** Of the inputs of linears; null: all columns of a matrix count alike. */
  readonly stats: StatsFile | null;
}

/** A matrix in a type. */
export function matrixTensor(maker: TensorMaker, matrix: MatrixToExport, type: GgufType): GgufTensor {
  const { name, parts } = matrix;
  const { d } = parts[0]!;
  const out = parts.reduce((sum, part) => sum + part.out, 0);
  return { name, type, shape: [out, d], data: () => matrixData(maker, matrix, type) };
}

/** A vector, in f32. */
export function vectorTensor(weights: Weights, { name, parts, paired, factor }: VectorToExport): GgufTensor {
  const values =
    parts instanceof Float32Array
      ? parts
      : Float32Array.from(parts.flatMap((part) => Array.from(weights.readVector(part))));
  const scaled = factor === 1 ? values : values.map((value) => value * factor);
  const ordered = paired === null ? scaled : inPairs(scaled, 1, paired);
  return { name, type: "f32", shape: [values.length], data: () => [plainBytes("f32", ordered)] };
}

async function* matrixData(
  maker: TensorMaker,
  matrix: MatrixToExport,
  type: GgufType,
): AsyncGenerator<Uint8Array> {
  const { graph, weights, algebra, stats } = maker;
  const { name, parts, paired, linears } = matrix;
  const [linear] = linears;
  const known =
    linear === undefined || stats === null || isPlain(type)
      ? null
      : stats.read(linearById(graph, linear).input, parts[0]!.d);
  for (const part of parts) {
    const step = stepOf(part, paired);
    for (let row = 0; row < part.out; row += step) {
      const count = Math.min(step, part.out - row);
      if (paired === null && type === part.dtype) {
        yield weights.readStoredRows(part, row, count);
        continue;
      }
      const rows = weights.readRows(part, row, count);
      const ordered = paired === null ? rows : inPairs(rows, part.d, paired);
      yield await roundedRows(algebra, type, ordered, part.d, known, name);
    }
  }
}

/** Rows that are read at a time: whole heads, where these are reordered. */
function stepOf({ d }: MatrixRef, paired: PairedHeads | null): number {
  const unit = paired === null ? 1 : paired.headDim;
  return unit * Math.max(1, Math.floor(roundedElements / d / unit));
}

/** Rows [.., d] of whole heads: channel i of the first half of a head, then channel i of the second, and so on. */
function inPairs(rows: Float32Array, d: number, { headDim }: PairedHeads): Float32Array {
  const ordered = new Float32Array(rows.length);
  const half = headDim / 2;
  for (let row = 0; row < rows.length / d; row++) {
    const channel = row % headDim;
    const from = row - channel + (channel % 2) * half + Math.floor(channel / 2);
    ordered.set(rows.subarray(from * d, (from + 1) * d), row * d);
  }
  return ordered;
}
