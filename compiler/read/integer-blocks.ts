import { blockSizes, type IntegerType } from "../ir/graph.js";

/** The bits of a block's word that hold the zero point; a scale of f16 or bf16 leaves them free in f32. */
export const zeroBits = 8191;
/** Elements whose nibbles share 16 bytes. */
export const runElements = 32;
/** What stored bytes are less than the unsigned numbers that zero points belong to. */
export const byteShift = 128;

const number = new Float32Array(1);
const word = new Uint32Array(number.buffer);

/** Whether the integers of a type are bytes, else nibbles. */
export const inBytes = (dtype: IntegerType) => dtype === "i8";

/** Decodes blocks of integers, w = scale (q - zero); scale and zero have 24 bits together, so it is exact in f32. */
export function decodeIntegers(dtype: IntegerType, bytes: Uint8Array, out: Float32Array): void {
  const { elements, bytes: blockBytes } = blockSizes[dtype];
  for (let from = 0, to = 0; from < bytes.length; from += blockBytes, to += elements) {
    const stored =
      (bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 24)) >>> 0;
    const zero = stored & zeroBits;
    word[0] = stored - zero;
    const scale = number[0]!;
    const quants = from + 4;
    if (inBytes(dtype)) {
      for (let i = 0; i < elements; i++)
        out[to + i] = scale * (((bytes[quants + i]! << 24) >> 24) + byteShift - zero);
      continue;
    }
    for (let i = 0; i < elements / 2; i++) {
      const pair = bytes[quants + i]!;
      const place = to + Math.floor(i / 16) * runElements + (i % 16);
      out[place] = scale * ((pair & 15) - zero);
      out[place + 16] = scale * ((pair >> 4) - zero);
    }
  }
}
