import { blockSizes, type CheckpointType, type DType, isCheckpointType } from "../ir/graph.js";
import { blockElements, byteShift, runElements, zeroBits } from "./checkpoint-blocks.js";
import { type QuantizedMatrix, widenQuantized } from "./quantized-matrix.js";

/** Elements `first` to `first + count`, whole blocks of f32 or of a type of checkpoints, as bytes of that type. */
export function quantizedBytes(
  matrix: QuantizedMatrix,
  dtype: DType,
  first: number,
  count: number,
): Uint8Array {
  if (isCheckpointType(dtype)) return encodeBlocks(dtype, matrix, first, count);
  const values = new Float32Array(count);
  widenQuantized(matrix, first, values);
  return new Uint8Array(values.buffer);
}

const number = new Float32Array(1);
const word = new Uint32Array(number.buffer);

/** Elements `first` to `first + count` of a matrix, whole blocks of it, as blocks of the type. */
function encodeBlocks(
  dtype: CheckpointType,
  matrix: QuantizedMatrix,
  first: number,
  count: number,
): Uint8Array {
  const { d, codes, values, scales, zeros, rows, groups, groupOf } = matrix;
  const { elements, bytes: blockBytes } = blockSizes[dtype];
  const { bits, hasZero } = blockElements[dtype];
  const blocks = new Uint8Array((count / elements) * blockBytes);
  const isSigned = values[255] === -1;
  const shift = isSigned ? byteShift : 0;
  const flipped = hasZero && !isSigned ? byteShift : 0;
  for (let to = 0, from = first; to < blocks.length; to += blockBytes, from += elements) {
    const row = Math.floor(from / d);
    const place = Math.floor(row / rows) * groups + groupOf[from - row * d]!;
    number[0] = scales[place]!;
    if (hasZero) word[0] = (word[0]! & ~zeroBits) | ((zeros === null ? 0 : zeros[place]!) + shift);
    for (let i = 0; i < 4; i++) blocks[to + i] = word[0]! >>> (8 * i);
    const stored = to + 4;
    if (bits === 8) {
      for (let i = 0; i < elements; i++) blocks[stored + i] = codes[from + i]! ^ flipped;
      continue;
    }
    for (let i = 0; i < elements / 2; i++) {
      const at = from + Math.floor(i / 16) * runElements + (i % 16);
      blocks[stored + i] = codes[at]! | (codes[at + 16]! << 4);
    }
  }
  return blocks;
}
