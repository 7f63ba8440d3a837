import type { BiasPart } from "../emit/operands.js";
import { shapeOf } from "../emit/shape.js";
import { strideOf } from "../emit/stride.js";
import type { DeviceKind, ValueId, WeightSource } from "../ir.js";
import { toF16 } from "../read/dequantize.js";
import type { Weights } from "../read/weights.js";
import { ropeTable } from "../rope.js";
import { biasLength, type PackedWeights, packedBytes, tileRows } from "../schedule/layout.js";
import { packRows } from "./matrix.js";
import { packPlanes } from "./planes.js";

/** Factors that the compiler made, as f32 rows; asked for in the order of the weights section. */
export interface FactorSource {
  /** V^T, [k, d], of the linears that read `input`. */
  basis(input: ValueId): Promise<Float32Array>;
  /** M = W V, [out, k]. */
  image(linear: ValueId): Promise<Float32Array>;
}

/** For plans without gated linears; asking it is a defect. */
export const noFactors: FactorSource = {
  basis: () => Promise.reject(new Error("a dense plan has no basis")),
  image: () => Promise.reject(new Error("a dense plan has no image")),
};

/** Bytes of stored weights that are held in memory at a time. */
const chunkBytes = 8 << 20;

/** The weights section, piece by piece; memory does not grow with the model. */
export async function* weightChunks(
  { device, items }: PackedWeights,
  weights: Weights,
  factors: FactorSource,
  context: number,
): AsyncGenerator<Uint8Array> {
  let position = 0;
  for (const { content, offset, bytes } of items) {
    if (offset > position) yield new Uint8Array(offset - position);
    switch (content.kind) {
      case "matrix":
        yield* matrixChunks(content.source, device, weights, factors);
        break;
      case "vector": {
        const padded = new Float32Array(strideOf(content.vector.length));
        padded.set(weights.readVector(content.vector));
        yield bytesOf(padded);
        break;
      }
      case "biases":
        yield bytesOf(biasesOf(content.parts, weights));
        break;
      case "rope":
        yield bytesOf(ropeTable(content.rope, context));
        break;
      default:
        content satisfies never;
    }
    position = offset + bytes;
  }
}

async function* matrixChunks(
  source: WeightSource,
  device: DeviceKind,
  weights: Weights,
  factors: FactorSource,
): AsyncGenerator<Uint8Array> {
  const { dtype, d } = shapeOf(source);
  const pack = device === "cpu" ? packRows : packPlanes;
  switch (source.kind) {
    case "stored": {
      const { matrix } = source;
      const rowBytes = packedBytes(device, dtype, tileRows, d) / tileRows;
      const step = Math.max(tileRows, Math.floor(chunkBytes / rowBytes / tileRows) * tileRows);
      for (let row = 0; row < matrix.out; row += step) {
        yield pack(dtype, d, weights.readStoredRows(matrix, row, Math.min(step, matrix.out - row)));
      }
      break;
    }
    case "basis":
      yield pack(dtype, d, bytesOf(toF16(await factors.basis(source.input))));
      break;
    case "image":
      yield pack(dtype, d, bytesOf(toF16(await factors.image(source.linear))));
      break;
    case "stacked":
      for (const part of source.parts) yield* matrixChunks(part, device, weights, factors);
      break;
    default:
      source satisfies never;
  }
}

/** Vectors one after another, zeros where there is none. */
function biasesOf(parts: readonly BiasPart[], weights: Weights): Float32Array {
  const all = new Float32Array(strideOf(biasLength(parts)));
  let begin = 0;
  for (const { vector, length } of parts) {
    if (vector !== null) all.set(weights.readVector(vector), begin);
    begin += length;
  }
  return all;
}

function bytesOf(array: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}
