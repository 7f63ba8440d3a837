import { blockSizes, type CheckpointType } from "../ir/graph.js";
import { e4m3Values, fourBitFloats, normalFloats, signedValues, wholeValues } from "./quantized-matrix.js";

/** What the elements of a type's blocks are. */
interface BlockElements {
  readonly bits: 4 | 8;
  /** The number that each stored code stands for, before the zero point is taken from it. */
  readonly values: Float32Array;
  /** Whether the word has a zero point below its scale; else it is the scale. */
  readonly hasZero: boolean;
}

/** What stored bytes of `i8` are less than the unsigned numbers that zero points belong to. */
export const byteShift = 128;

const nibbles: BlockElements = { bits: 4, values: wholeValues(4), hasZero: true };
const floats: BlockElements = { bits: 8, values: e4m3Values, hasZero: false };

/** The elements of each type. */
export const blockElements: Readonly<Record<CheckpointType, BlockElements>> = {
  i4: nibbles,
  i4_128: nibbles,
  i8: { bits: 8, values: signedValues.map((value) => value + byteShift), hasZero: true },
  f8: floats,
  f8_128: floats,
  nf4: { bits: 4, values: normalFloats, hasZero: false },
  fp4: { bits: 4, values: fourBitFloats, hasZero: false },
};

/** The bits of a block's word that hold the zero point; a scale of f16 or bf16 leaves them free in f32. */
export const zeroBits = 8191;
/** Elements whose nibbles share 16 bytes. */
export const runElements = 32;

const number = new Float32Array(1);
const word = new Uint32Array(number.buffer);

/** Decodes blocks, w = scale (value - zero), rounded once; of integers it is exact, since scale and zero have 24 bits together. */
export function decodeCheckpoint(dtype: CheckpointType, bytes: Uint8Array, out: Float32Array): void {
  const { elements, bytes: blockBytes } = blockSizes[dtype];
  const { bits, values, hasZero } = blockElements[dtype];
  for (let from = 0, to = 0; from < bytes.length; from += blockBytes, to += elements) {
    const stored =
      (bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 24)) >>> 0;
    const zero = hasZero ? stored & zeroBits : 0;
    word[0] = stored - zero;
    const scale = number[0]!;
    const codes = from + 4;
    if (bits === 8) {
      for (let i = 0; i < elements; i++) out[to + i] = scale * (values[bytes[codes + i]!]! - zero);
      continue;
    }
    for (let i = 0; i < elements / 2; i++) {
      const pair = bytes[codes + i]!;
      const place = to + Math.floor(i / 16) * runElements + (i % 16);
      out[place] = scale * (values[pair & 15]! - zero);
      out[place + 16] = scale * (values[pair >> 4]! - zero);
    }
  }
}
