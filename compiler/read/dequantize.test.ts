import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blockSizes, type DType } from "../ir/graph.js";
import { codeOf } from "../testing/files.js";
import { dequantize, toBf16, toF16 } from "./dequantize.js";
import { typeNumbers } from "./gguf-types.js";
import { fourBitFloats, normalFloats } from "./quantized-matrix.js";
import { readTensors } from "./safetensors-write.js";
import { Weights } from "./weights.js";

/** The value of f16 bits, from the definition. */
function half(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits % 1024;
  if (exponent === 31) {
    return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  }
  return exponent === 0 ? (sign * fraction) / 2 ** 24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The value of a byte of E4M3, from the definition: OCP's 8-bit floating point specification, e4m3fn. */
function e4m3(byte: number): number {
  const sign = byte >> 7 ? -1 : 1;
  const exponent = (byte >> 3) & 15;
  const fraction = byte % 8;
  if (exponent === 15 && fraction === 7) return Number.NaN;
  return exponent === 0 ? (sign * fraction) / 2 ** 9 : sign * (8 + fraction) * 2 ** (exponent - 10);
}

/** One element at a time, in the words of the formats: slow and obvious. */
const element: Record<DType, (block: DataView, index: number) => number> = {
  f32: (b) => b.getFloat32(0, true),
  f16: (b) => half(b.getUint16(0, true)),
  bf16: (b) => {
    const wide = new DataView(new ArrayBuffer(4));
    wide.setUint16(2, b.getUint16(0, true), true);
    return wide.getFloat32(0, true);
  },
  q8_0: (b, i) => half(b.getUint16(0, true)) * b.getInt8(2 + i),
  q4_0: (b, i) => half(b.getUint16(0, true)) * (nibble(b, 2, i) - 8),
  q4_1: (b, i) => half(b.getUint16(0, true)) * nibble(b, 4, i) + half(b.getUint16(2, true)),
  q5_0: (b, i) => half(b.getUint16(0, true)) * (nibble(b, 6, i) + 16 * bit(b, 2, i) - 16),
  q5_1: (b, i) =>
    half(b.getUint16(0, true)) * (nibble(b, 8, i) + 16 * bit(b, 4, i)) + half(b.getUint16(2, true)),
  q4_k: (b, i) => {
    const [scale, minimum] = sixBits(b, i >> 5);
    return half(b.getUint16(0, true)) * scale * groupNibble(b, 16, i) - half(b.getUint16(2, true)) * minimum;
  },
  q5_k: (b, i) => {
    const [scale, minimum] = sixBits(b, i >> 5);
    const q = groupNibble(b, 48, i) + 16 * ((b.getUint8(16 + (i % 32)) >> (i >> 5)) % 2);
    return half(b.getUint16(0, true)) * scale * q - half(b.getUint16(2, true)) * minimum;
  },
  q6_k: (b, i) => {
    const within = i % 128;
    const byte = b.getUint8(64 * (i >> 7) + (within % 64));
    const low = within < 64 ? byte % 16 : byte >> 4;
    const high = (b.getUint8(128 + 32 * (i >> 7) + (within % 32)) >> (2 * (within >> 5))) % 4;
    return half(b.getUint16(208, true)) * b.getInt8(192 + (i >> 4)) * (low + 16 * high - 32);
  },
  i4: (b, i) => scaleAbove(b) * (nibble(b, 4, i) - zeroBelow(b)),
  i4_128: (b, i) => scaleAbove(b) * (nibble(b, 4 + 16 * (i >> 5), i % 32) - zeroBelow(b)),
  i8: (b, i) => scaleAbove(b) * (b.getInt8(4 + i) + 128 - zeroBelow(b)),
  f8: (b, i) => b.getFloat32(0, true) * e4m3(b.getUint8(4 + i)),
  f8_128: (b, i) => b.getFloat32(0, true) * e4m3(b.getUint8(4 + i)),
  nf4: (b, i) => b.getFloat32(0, true) * normalFloats[nibble(b, 4 + 16 * (i >> 5), i % 32)]!,
  fp4: (b, i) => b.getFloat32(0, true) * fourBitFloats[nibble(b, 4 + 16 * (i >> 5), i % 32)]!,
};

/** Scale and minimum of group j of a K block, from the twelve bytes a0-3 b0-3 c0-3 at 4: those of groups 0-3 are the
 * low 6 bits of a and b; those of 4-7 have their low 4 bits in c's nibbles and their high 2 bits on top of a and b. */
function sixBits(b: DataView, j: number): [number, number] {
  const a = b.getUint8(4 + (j % 4));
  const m = b.getUint8(8 + (j % 4));
  const c = b.getUint8(12 + (j % 4));
  return j < 4 ? [a % 64, m % 64] : [(c % 16) + 16 * (a >> 6), (c >> 4) + 16 * (m >> 6)];
}

/** Element i of a K block's nibbles: 64 elements share 32 bytes, the first 32 in the low halves. */
function groupNibble(b: DataView, at: number, i: number): number {
  const byte = b.getUint8(at + 32 * (i >> 6) + (i % 32));
  return i % 64 < 32 ? byte % 16 : byte >> 4;
}

/** The number that the upper 19 bits of a word are, and the one of the lower 13. */
function scaleAbove(block: DataView): number {
  const wide = new DataView(new ArrayBuffer(4));
  wide.setUint32(0, Math.floor(block.getUint32(0, true) / 8192) * 8192);
  return wide.getFloat32(0);
}

function zeroBelow(block: DataView): number {
  return block.getUint32(0, true) % 8192;
}

function nibble(block: DataView, at: number, index: number): number {
  const byte = block.getUint8(at + (index % 16));
  return index < 16 ? byte % 16 : byte >> 4;
}

function bit(block: DataView, at: number, index: number): number {
  return (block.getUint8(at + (index >> 3)) >> (index % 8)) & 1;
}

const types = Object.keys(blockSizes) as DType[];

describe("dequantize", () => {
  test.each(types)("%s follows its definition on any bytes", (dtype) => {
    const block = blockSizes[dtype];
    const blocks = 3;
    const size = block.bytes * blocks;
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (bytes) => {
        const values = dequantize(dtype, bytes, block.elements * blocks);
        for (let index = 0; index < values.length; index++) {
          const at = Math.floor(index / block.elements) * block.bytes;
          const view = new DataView(bytes.buffer, bytes.byteOffset + at, block.bytes);
          const expected = Math.fround(element[dtype](view, index % block.elements));
          expect(Object.is(values[index], expected), `element ${index}: ${values[index]}, ${expected}`).toBe(
            true,
          );
        }
      }),
      { numRuns: 200 },
    );
  });

  test("works on unaligned bytes and into the start of a longer array", () => {
    const bytes = new Uint8Array(9);
    new DataView(bytes.buffer).setFloat32(1, 1.5, true);
    new DataView(bytes.buffer).setFloat32(5, -2, true);
    const out = Float32Array.of(0, 0, 9);
    expect(dequantize("f32", bytes.subarray(1), 2, out)).toBe(out);
    expect(out).toEqual(Float32Array.of(1.5, -2, 9));
    expect(dequantize("bf16", Uint8Array.of(0, 0xc0, 0x3f).subarray(1), 1)).toEqual(Float32Array.of(1.5));
  });

  test("refuses sizes that do not fit", async () => {
    expect(await codeOf(() => dequantize("q8_0", new Uint8Array(34), 31))).toBe("dequantize-size");
    expect(await codeOf(() => dequantize("q8_0", new Uint8Array(33), 32))).toBe("dequantize-size");
    expect(await codeOf(() => dequantize("f32", new Uint8Array(8), 2, new Float32Array(1)))).toBe(
      "dequantize-size",
    );
  });

  test("agrees with the fixture of every type", async () => {
    const weights = await Weights.open(join(import.meta.dirname, "fixtures/gguf-types.gguf"));
    const { tensors } = await readTensors(join(import.meta.dirname, "fixtures/gguf-types.safetensors"));
    const seen = new Set<string>();
    for (const [name, { data }] of tensors) {
      const info = weights.require(name);
      expect(dequantize(info.dtype, weights.readBytes(name, 0, info.bytes), data.length), name).toEqual(data);
      seen.add(info.dtype);
    }
    expect([...seen].sort()).toEqual(Object.keys(typeNumbers).sort());
    weights.close();
  });
});

describe("toF16", () => {
  const all = Float32Array.from({ length: 1 << 16 }, (_, bits) => half(bits));

  test("gives back every f16", () => {
    const bits = toF16(all);
    for (let index = 0; index < all.length; index++) {
      const isNotNumber = Number.isNaN(all[index]);
      expect(isNotNumber ? half(bits[index]!) : bits[index]).toBe(isNotNumber ? Number.NaN : index);
    }
  });

  test("rounds every middle of two neighbours to the even one, and just beside it to the nearer", () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      const next = bits === 0x7bff ? 65536 : half(bits + 1);
      const middle = (half(bits) + next) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const inputs = Float32Array.of(middle, -middle, neighbour(middle, -1), neighbour(middle, 1));
      expect([...toF16(inputs)]).toEqual([even, even | 0x8000, bits, bits + 1]);
    }
  });

  test("keeps signs, infinities and NaN", () => {
    const values = Float32Array.of(-0, 1e-30, -1e-30, 1e30, -1e30, Number.NaN);
    const bits = [...toF16(values)];
    expect(bits.slice(0, 5)).toEqual([0x8000, 0, 0x8000, 0x7c00, 0xfc00]);
    expect(half(bits[5]!)).toBeNaN();
  });
});

describe("toBf16", () => {
  test("rounds to the nearer bf16, and ties to even", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        const word = new Uint32Array(Float32Array.of(value).buffer)[0]!;
        const low = word & 0xffff;
        const down = word >>> 16;
        const expected = low > 0x8000 || (low === 0x8000 && down % 2 === 1) ? down + 1 : down;
        expect(toBf16(Float32Array.of(value))[0]).toBe(expected);
      }),
    );
    const tie = new Float32Array(
      Uint32Array.of(0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x7f800001).buffer,
    );
    expect([...toBf16(tie)]).toEqual([0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x7fc0]);
  });
});

/** The next f32 above (1) or below (-1) a positive one. */
function neighbour(value: number, step: 1 | -1): number {
  const word = new Uint32Array(Float32Array.of(value).buffer);
  word[0]! += step;
  return new Float32Array(word.buffer)[0]!;
}
