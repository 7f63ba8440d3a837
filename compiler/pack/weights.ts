import { shapeOf } from "../emit/shape.js";
import { strideOf } from "../emit/stride.js";
import type { ValueId, WeightSource } from "../ir.js";
import { toF16 } from "../read/dequantize.js";
import type { Weights } from "../read/weights.js";
import { ropeTable } from "../rope.js";
import { packing, tileRows, type WeightItem } from "../schedule/layout.js";
import { packRows } from "./matrix.js";

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
  items: readonly WeightItem[],
  weights: Weights,
  factors: FactorSource,
  context: number,
): AsyncGenerator<Uint8Array> {
  let position = 0;
  for (const { content, offset, bytes } of items) {
    if (offset > position) yield new Uint8Array(offset - position);
    switch (content.kind) {
      case "matrix":
        yield* matrixChunks(content.source, weights, factors);
        break;
      case "vector": {
        const padded = new Float32Array(strideOf(content.vector.length));
        padded.set(weights.readVector(content.vector));
        yield bytesOf(padded);
        break;
      }
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
  weights: Weights,
  factors: FactorSource,
): AsyncGenerator<Uint8Array> {
  const { dtype, out, d } = shapeOf(source);
  if (source.kind !== "stored") {
    const factor =
      source.kind === "basis" ? await factors.basis(source.input) : await factors.image(source.linear);
    yield packRows(dtype, d, bytesOf(toF16(factor)));
    return;
  }
  const rowBytes = packing(dtype, tileRows, d).bytes / tileRows;
  const step = Math.max(tileRows, Math.floor(chunkBytes / rowBytes / tileRows) * tileRows);
  for (let row = 0; row < out; row += step) {
    yield packRows(dtype, d, weights.readStoredRows(source.matrix, row, Math.min(step, out - row)));
  }
}

function bytesOf(array: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}
