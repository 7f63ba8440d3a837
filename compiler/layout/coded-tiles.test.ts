import fc from "fast-check";
import { expect, test } from "vitest";
import { codedBytes, packCoded, rareWeights } from "./coded-tiles.js";
import { cpuLayout } from "./cpu.js";
import { maxRunRows, packing, packRows } from "./tiles.js";

/** What `packCoded` packs, as `packRows` packs it: read as templates/include/gsic/coded.h says. */
function decode(out: number, d: number, rare: number, packed: Uint8Array): Uint8Array {
  const { blocks, segmentBlocks } = packing("bf16", 0, d);
  const strips = 32 * Math.ceil(blocks / segmentBlocks);
  const word = (at: number) => packed[at]! | (packed[at + 1]! << 8);
  const plain: number[] = [];
  let group = 0;
  for (let row = 0; row < out; row += 128) {
    const tiles = Math.ceil(Math.min(128, out - row) / 4);
    const [ends, places, uppers] = [16 * strips, 18 * strips, 18 * strips + 2 * rare].map((at) => group + at);
    let at = group + Math.ceil((18 * strips + 3 * rare) / 64) * 64;
    for (let segment = 0; segment * segmentBlocks < blocks; segment++) {
      for (let tile = 0; tile < tiles; tile++) {
        const strip = 32 * segment + tile;
        const begin = plain.length;
        for (let b = 0; b < Math.min(segmentBlocks, blocks - segment * segmentBlocks); b++, at += 192) {
          for (let i = 0; i < 128; i++) {
            const [r, k] = [i >> 5, i & 31];
            const byte = 16 * (k >> 3) + 8 * (r % 2) + (k % 8);
            const code = (packed[at + byte]! >> (r < 2 ? 0 : 4)) & 15;
            plain.push(packed[at + 64 + 64 * (r >> 1) + byte]!, packed[group + 16 * strip + code]!);
          }
        }
        const first = strip === 0 ? 0 : word(ends! + 2 * (strip - 1));
        for (let i = first; i < word(ends! + 2 * strip); i++)
          plain[begin + word(places! + 2 * i)] = packed[uppers! + i]!;
      }
    }
    group = at;
  }
  expect(group).toBe(packed.length);
  return Uint8Array.from(plain);
}

/** The most rare weights of a run. */
function roomOf(d: number, rows: Uint8Array): number {
  let most = 0;
  for (let at = 0; at < rows.length; at += 2 * d * maxRunRows)
    most = Math.max(most, rareWeights(d, rows.subarray(at, at + 2 * d * maxRunRows)));
  return most;
}

/** Compared so, since a comparison of arrays by elements takes seconds. */
function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.length).equals(b);
}

function bytesOf(words: Uint16Array): Uint8Array {
  return new Uint8Array(words.buffer as ArrayBuffer);
}

test("each of the 65,536 patterns of bf16 is kept, however many of them are rare", () => {
  const sorted = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const mixed = sorted.map((i) => (i * 40503) & 0xffff);
  for (const [words, mostly] of [
    [sorted, false],
    [mixed, true],
  ] as const) {
    for (const [out, d] of [
      [128, 512],
      [64, 1024],
      [1024, 64],
    ] as const) {
      const rows = bytesOf(words);
      const room = roomOf(d, rows);
      const packed = packCoded(d, room, rows);
      expect(packed.length).toBe(codedBytes(out, d, room));
      expect(equal(decode(out, d, room, packed), packRows("bf16", d, rows))).toBe(true);
      expect(room > 30_000).toBe(mostly && out <= 128);
    }
  }
});

test("packing loses nothing, whatever the shape, and is the same run by run", () => {
  const shapes = fc.record({
    out: fc.integer({ min: 1, max: 140 }),
    d: fc.integer({ min: 1, max: 700 }),
    seed: fc.integer({ min: 1, max: 1 << 30 }),
    spread: fc.integer({ min: 1, max: 12 }),
    more: fc.integer({ min: 0, max: 5 }),
  });
  fc.assert(
    fc.property(shapes, ({ out, d, seed, spread, more }) => {
      let state = seed;
      const words = Uint16Array.from({ length: out * d }, () => {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        // Exponents as random numbers have them, the large ones commonest.
        const exponent = 120 - Math.min(119, Math.clz32(state) * spread);
        return ((state & 1) << 15) | (exponent << 7) | ((state >> 8) & 127);
      });
      const rows = bytesOf(words);
      const room = roomOf(d, rows) + more;
      const packed = packCoded(d, room, rows);
      expect(equal(decode(out, d, room, packed), packRows("bf16", d, rows))).toBe(true);
      const type = { dtype: "bf16", coded: room } as const;
      expect(packed.length).toBe(cpuLayout.packedBytes(type, out, d));
      const run = 2 * d * cpuLayout.runRows(type, d);
      const parts = [];
      for (let at = 0; at < rows.length; at += run)
        parts.push(cpuLayout.packMatrix(type, d, rows.slice(at, at + run)));
      expect(Buffer.concat(parts).equals(packed)).toBe(true);
    }),
    { numRuns: 25 },
  );
});

test("weights of seventeen magnitudes need room for the rarest of them, and no less", () => {
  const d = 64;
  const words = Uint16Array.from({ length: 4 * d }, (_, i) => (i < 3 ? 0x7f80 : (i % 16) << 8));
  const rows = bytesOf(words);
  expect(rareWeights(d, rows)).toBe(3);
  expect(() => packCoded(d, 2, rows)).toThrow("more than 2 rare weights");
  expect(decode(4, d, 3, packCoded(d, 3, rows))).toEqual(packRows("bf16", d, rows));
});
