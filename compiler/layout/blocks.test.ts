import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blockSizes } from "../ir/graph.js";
import { dequantize } from "../read/dequantize.js";
import { e4m3Values, fourBitFloats, normalFloats } from "../read/quantized-matrix.js";
import { randomBlocks } from "../testing/kernels.js";
import { type BlockType, blockRows, blockTile, packBlocks } from "./blocks.js";
import { cpuLayout } from "./cpu.js";

/** W [rows of the tiles, d] as templates/include/gsic/blocks.h says it, in float64. */
function unpack(dtype: BlockType, d: number, packed: Uint8Array): number[][] {
  const { bits, steps, headerBytes, scaleBytes, stepBytes, superBytes, bytes } = blockTile(dtype, d);
  const half = (at: number) => dequantize("f16", packed.subarray(at, at + 2), 1)[0]!;
  const word = (at: number) => new DataView(packed.buffer, packed.byteOffset + at, 4).getUint32(0, true);
  return Array.from({ length: (packed.length / bytes) * blockRows }, (_, row) => {
    const lane = row % blockRows;
    const tile = Math.floor(row / blockRows) * bytes;
    return Array.from({ length: d }, (_, column) => {
      const index = Math.floor(column / 32);
      const header = tile + Math.floor(index / steps) * superBytes;
      const step = header + headerBytes + (index % steps) * stepBytes;
      const planes = step + scaleBytes;
      const j = column % 32;
      const [w, n] = [(j % 16) >> 2, 2 * (j % 4) + (j >> 4)];
      let q = packed[planes + j * blockRows + lane]!;
      if (bits < 8) q = (word(planes + 64 * w + 4 * lane) >>> (4 * n)) & 15;
      if (bits === 5) q |= ((word(planes + 256 + 4 * lane) >>> (4 * n + w)) & 1) << 4;
      if (bits === 6)
        q |= ((word(planes + 256 + 64 * (w >> 1) + 4 * lane) >>> (4 * n + 2 * (w % 2))) & 3) << 4;
      const [first, second] = [half(header + 2 * lane), half(header + 2 * (blockRows + lane))];
      const signed = (byte: number) => (byte << 24) >> 24;
      switch (dtype) {
        case "q4_0":
          return first * (q - 8);
        case "q5_0":
          return first * (q - 16);
        case "q8_0":
          return first * signed(q);
        case "q4_1":
        case "q5_1":
          return first * q + second;
        case "q4_k":
        case "q5_k":
          return first * packed[step + lane]! * q - second * packed[step + blockRows + lane]!;
        case "q6_k":
          return first * signed(packed[step + blockRows * (j >> 4) + lane]!) * (q - 32);
        case "i4":
        case "i4_128":
        case "i8": {
          const zero = word(header + 4 * lane) & 8191;
          const scale = new Float32Array(Int32Array.of(word(header + 4 * lane) - zero).buffer)[0]!;
          return scale * (dtype === "i8" ? signed(q) + 128 - zero : q - zero);
        }
        case "f8":
        case "f8_128":
          return new Float32Array(Int32Array.of(word(header + 4 * lane)).buffer)[0]! * e4m3Values[q]!;
        case "nf4":
        case "fp4": {
          const table = dtype === "nf4" ? normalFloats : fourBitFloats;
          return new Float32Array(Int32Array.of(word(header + 4 * lane)).buffer)[0]! * table[q]!;
        }
        default:
          return dtype satisfies never;
      }
    });
  });
}

const types: readonly BlockType[] = [
  "q4_0",
  "q4_1",
  "q5_0",
  "q5_1",
  "q8_0",
  "q4_k",
  "q5_k",
  "q6_k",
  "i4",
  "i4_128",
  "i8",
  "f8",
  "f8_128",
  "nf4",
  "fp4",
];

describe("tiles of blocks hold every element of every row, and zeros where there is no row", () => {
  for (const dtype of types)
    test(dtype, () => {
      const { elements, bytes } = blockSizes[dtype];
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 37 }),
          fc.integer({ min: 1, max: 3 }),
          fc.constantFrom(0, 1, 2, 7),
          fc.integer(),
          (out, blocks, skip, seed) => {
            const d = blocks * elements;
            const rowBytes = blocks * bytes;
            const stored = randomBlocks(dtype, out * d, seed);
            // Rows that begin anywhere in their buffer, as those of a file that is read in parts.
            const rows = new Uint8Array(skip + stored.length).subarray(skip);
            rows.set(stored);
            const packed = packBlocks(dtype, d, rows);
            expect(packed).toHaveLength(cpuLayout.packedBytes({ dtype }, out, d));
            const expected = dequantize(dtype, stored, out * d);
            const found = unpack(dtype, d, packed);
            for (const [row, values] of found.entries()) {
              if (row < out)
                expect(Float32Array.from(values)).toEqual(expected.subarray(row * d, (row + 1) * d));
              else expect(values.every((value) => value === 0)).toBe(true);
            }
            const rest = packed.subarray(Math.floor((out - 1) / blockRows) * blockTile(dtype, d).bytes);
            const alone = packBlocks(
              dtype,
              d,
              rows.slice(Math.floor((out - 1) / blockRows) * blockRows * rowBytes),
            );
            expect(alone).toEqual(rest);
            expect(packBlocks(dtype, d, rows, new Uint8Array(packed.length + 5).fill(0xa5))).toEqual(packed);
          },
        ),
        { numRuns: 40 },
      );
    });
});

test("a missing row is all zeros, and runs packed one after another are the matrix packed at once", () => {
  for (const dtype of types) {
    const { elements, bytes } = blockSizes[dtype];
    const rows = randomBlocks(dtype, 21 * elements, 5);
    const packed = cpuLayout.packMatrix({ dtype }, elements, rows);
    const run = cpuLayout.runRows({ dtype }, elements);
    expect(run).toBe(blockRows);
    const parts = [rows.slice(0, run * bytes), rows.slice(run * bytes)];
    expect(Buffer.concat(parts.map((part) => cpuLayout.packMatrix({ dtype }, elements, part)))).toEqual(
      Buffer.from(packed),
    );
    const full = cpuLayout.packMatrix({ dtype }, elements, new Uint8Array(rows.length).fill(0xff));
    const used = cpuLayout.packMatrix({ dtype }, elements, new Uint8Array(32 * bytes).fill(0xff));
    // What eleven missing rows would have set is zero: their share of the set bits is missing.
    const bits = (data: Uint8Array) =>
      data.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
    expect(bits(full) * 32).toBe(bits(used) * 21);
  }
});
