import fc from "fast-check";
import { expect, test } from "vitest";
import { bitWidths } from "../ir/plan.js";
import { randomLowRank, randomQuantized } from "../testing/gpu-tiers.js";
import { gpuLayout } from "./gpu.js";
import { packQuantizedPlanes, planeBits, quantizedTile } from "./quantized-planes.js";

const cases = fc.record({
  bits: fc.constantFrom(...bitWidths),
  group: fc.constantFrom(32, 64, 128),
  symmetric: fc.boolean(),
  rank: fc.constantFrom(0, 4, 20, 32),
  out: fc.integer({ min: 1, max: 9 }),
  d: fc.integer({ min: 1, max: 300 }),
});

test("every number of a matrix at few bits lies where its kernels look for it, and there is nothing else", () => {
  fc.assert(
    fc.property(cases, ({ bits, group, symmetric, rank, out, d }) => {
      const quantizer = { bits, group, symmetric } as const;
      const matrix = randomQuantized(out, d, quantizer, d);
      const lowRank = rank === 0 ? null : randomLowRank(out, rank, d);
      const shape = { out, d, quantizer, rank };
      const packed = Buffer.concat([...packQuantizedPlanes(shape, { matrix, lowRank })]);
      expect(packed).toHaveLength(gpuLayout.quantizedBytes(shape));
      const layout = quantizedTile(shape);
      const [low, high] = planeBits[bits];
      const groups = Math.ceil(d / group);
      /** Bits of a row's part of a plane; a place is read, and then cleared. */
      const take = (
        begin: number,
        bytes: number,
        row: number,
        part: number,
        shift: number,
        width: number,
      ) => {
        const at = Math.floor(row / 4) * layout.bytes + begin + (part * 4 + (row % 4)) * bytes + (shift >> 3);
        const mask = ((1 << width) - 1) << (shift & 7);
        const value = (packed[at]! & mask) >> (shift & 7);
        packed[at]! &= ~mask;
        return value;
      };
      const float = (begin: number, row: number) => {
        const at = Math.floor(row / 4) * layout.bytes + begin + 4 * (row % 4);
        const value = packed.readFloatLE(at);
        packed.fill(0, at, at + 4);
        return value;
      };
      const count = (length: number) => Array.from({ length }, (_, i) => i);
      const integer = (row: number, column: number) => {
        const [unit, i] = [Math.floor(column / 32), column % 32];
        if (bits === 8) return take(i < 16 ? layout.low : layout.high, 16, row, unit, 8 * (i % 16), 8) ^ 0x80;
        if (bits === 4) return take(layout.low, 16, row, unit, 8 * (i % 16) + 4 * (i >> 4), 4);
        // Bit by bit, as gpu/quantized.h has it: word and place in its low half; the second of a pair is sixteen behind.
        const [pair, half, whole] = [
          2 * Math.floor(i / 4) + (i % 2),
          Math.floor((i % 4) / 2),
          Math.floor(16 / bits),
        ];
        const left = (pair - bits * whole) * bits;
        const rest = 16 - whole * bits;
        return count(bits).reduce((value, bit) => {
          const [word, place] =
            left < 0
              ? [pair % bits, bits * Math.floor(pair / bits) + bit]
              : [Math.floor((left + bit) / rest), bits * whole + ((left + bit) % rest)];
          const shift = 32 * word + 16 * half + place;
          const inLow = shift < low * 32;
          const found = inLow
            ? take(layout.low, 4 * low, row, unit, shift, 1)
            : take(layout.high, 4 * high, row, unit, shift - 32 * low, 1);
          return value | (found << bit);
        }, 0);
      };
      const rows = count(out);
      const found = {
        q: Uint8Array.from(rows.flatMap((row) => count(d).map((column) => integer(row, column)))),
        scales: Int8Array.from(
          rows.flatMap((row) =>
            count(groups).map((index) => take(layout.scales, symmetric ? 1 : 2, row, index, 0, 8)),
          ),
        ),
        zeros: symmetric
          ? null
          : Uint8Array.from(
              rows.flatMap((row) => count(groups).map((index) => take(layout.scales, 2, row, index, 8, 8))),
            ),
        rowScales: Float32Array.from(rows, (row) => float(layout.rowScales, row)),
      };
      expect(found).toEqual(matrix);
      if (lowRank !== null) {
        const a = rows.flatMap((row) =>
          count(rank).map((j) => take(layout.lowRank, 16, row, j >> 4, 8 * (j % 16), 8)),
        );
        expect(Int8Array.from(a)).toEqual(lowRank.a);
        expect(Float32Array.from(rows, (row) => float(layout.lowRankScales, row))).toEqual(lowRank.scales);
      }
      // Places of no element.
      expect(packed.every((byte) => byte === 0)).toBe(true);
    }),
    { numRuns: 60 },
  );
});
