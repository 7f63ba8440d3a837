import fc from "fast-check";
import { expect, test } from "vitest";
import { bitWidths, type Quantizer } from "../ir/plan.js";
import { cpuLayout } from "./cpu.js";
import { packQuantizedTiles, quantizedTileLayout } from "./quantized-tiles.js";
import type { QuantizedLinear } from "./quantizer.js";

interface Packed {
  readonly shape: {
    readonly out: number;
    readonly d: number;
    readonly quantizer: Quantizer;
    readonly rank: number;
  };
  readonly content: QuantizedLinear;
}

const pack = ({ shape, content }: Packed) => Buffer.concat([...packQuantizedTiles(shape, content)]);

/** The planes of a block by header: width in bits, first byte, first bit of q. */
const planes = {
  3: [
    [2, 0, 0],
    [1, 128, 2],
  ],
  4: [[4, 0, 0]],
  5: [
    [4, 0, 0],
    [1, 256, 4],
  ],
  6: [
    [4, 0, 0],
    [2, 256, 4],
  ],
  8: [[8, 0, 0]],
} as const;

/** The inverse of packing, as templates/include/gsic/quantized.h describes a tile. */
function unpack({ shape: { out, d, quantizer, rank } }: Packed, packed: Buffer): QuantizedLinear {
  const { bits, group, symmetric } = quantizer;
  const groups = Math.ceil(d / group);
  const groupBytes = Math.ceil((16 * groups) / 64) * 64;
  const data = 64 + (symmetric ? 1 : 2) * groupBytes;
  const factor = data + Math.ceil(d / 32) * 64 * bits;
  const tileBytes = factor + (rank === 0 ? 0 : 64 + 16 * rank);
  const rows = Array.from({ length: out }, (_, row) => ({
    tile: Math.floor(row / 16) * tileBytes,
    lane: row % 16,
  }));
  const each = <T>(count: number, read: (tile: number, lane: number, i: number) => T): T[] =>
    rows.flatMap(({ tile, lane }) => Array.from({ length: count }, (_, i) => read(tile, lane, i)));
  const register = (tile: number, lane: number, column: number) =>
    tile + 64 * Math.floor(column / 4) + 4 * lane + (column % 4);
  const q = (tile: number, lane: number, column: number) => {
    const block = tile + data + Math.floor(column / 32) * 64 * bits;
    const j = Math.floor((column % 32) / 4);
    let value = 0;
    for (const [width, begin, first] of planes[bits]) {
      const byte = packed[block + begin + 64 * Math.floor((j * width) / 8) + 4 * lane + (column % 4)]!;
      value |= ((byte >> ((j * width) % 8)) & (2 ** width - 1)) << first;
    }
    return value;
  };
  return {
    matrix: {
      q: Uint8Array.from(each(d, q)),
      scales: Int8Array.from(each(groups, (tile, lane, i) => packed.readInt8(tile + 64 + 16 * i + lane))),
      zeros: symmetric
        ? null
        : Uint8Array.from(each(groups, (tile, lane, i) => packed[tile + 64 + groupBytes + 16 * i + lane]!)),
      rowScales: Float32Array.from(each(1, (tile, lane) => packed.readFloatLE(tile + 4 * lane))),
    },
    lowRank:
      rank === 0
        ? null
        : {
            a: Int8Array.from(
              each(rank, (tile, lane, i) => packed[register(tile + factor + 64, lane, i)]! - 128),
            ),
            scales: Float32Array.from(each(1, (tile, lane) => packed.readFloatLE(tile + factor + 4 * lane))),
          },
  };
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const floats = (length: number) =>
  fc.float32Array({ minLength: length, maxLength: length, noNaN: true, noDefaultInfinity: true });
const int8s = (length: number) => fc.int8Array({ minLength: length, maxLength: length });

const packings: fc.Arbitrary<Packed> = fc
  .record({
    out: fc.integer({ min: 1, max: 40 }),
    d: fc.integer({ min: 1, max: 200 }),
    rank: fc.constantFrom(0, 4, 16, 20),
    quantizer: fc.record({
      bits: fc.constantFrom(...bitWidths),
      group: fc.constantFrom(32, 64, 128),
      symmetric: fc.boolean(),
    }),
  })
  .chain((shape) => {
    const { out, d, rank, quantizer } = shape;
    const groups = out * Math.ceil(d / quantizer.group);
    const content: fc.Arbitrary<QuantizedLinear> = fc.record({
      matrix: fc.record({
        q: bytes(out * d).map((all) => all.map((value) => value % 2 ** quantizer.bits)),
        scales: int8s(groups),
        zeros: quantizer.symmetric
          ? fc.constant(null)
          : bytes(groups).map((all) => all.map((value) => value % 2 ** quantizer.bits)),
        rowScales: floats(out),
      }),
      lowRank: rank === 0 ? fc.constant(null) : fc.record({ a: int8s(out * rank), scales: floats(out) }),
    });
    return content.map((made) => ({ shape, content: made }));
  });

test("packing at few bits loses nothing, and takes the bytes that the layout says", () => {
  fc.assert(
    fc.property(packings, (packed) => {
      const found = pack(packed);
      expect(found).toHaveLength(cpuLayout.quantizedBytes(packed.shape));
      expect(unpack(packed, found)).toEqual(packed.content);
    }),
    { numRuns: 60 },
  );
});

test("missing rows and columns are zero", () => {
  const quantizer = { bits: 5, group: 32, symmetric: false } as const;
  const shape = { out: 17, d: 33, quantizer, rank: 4 };
  const ones = {
    matrix: {
      q: new Uint8Array(17 * 33).fill(31),
      scales: new Int8Array(17 * 2).fill(-1),
      zeros: new Uint8Array(17 * 2).fill(31),
      rowScales: new Float32Array(17).fill(1),
    },
    lowRank: { a: new Int8Array(17 * 4).fill(127), scales: new Float32Array(17).fill(1) },
  };
  const packed = pack({ shape, content: ones });
  const { bytes: tileBytes } = quantizedTileLayout(33, quantizer, 4);
  const set = (tile: Buffer) =>
    tile.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
  const oneRow = 7 * 2 + 2 * (8 + 5) + 33 * 5 + 4 * 8;
  expect(set(packed.subarray(0, tileBytes))).toBe(16 * oneRow);
  expect(set(packed.subarray(tileBytes))).toBe(oneRow);
});

test("a tile's bytes are those of quantized.h", () => {
  const q = Uint8Array.from({ length: 2 * 8 }, (_, i) => 2 * i);
  const content = {
    matrix: {
      q,
      scales: Int8Array.of(3, -2),
      zeros: Uint8Array.of(16, 9),
      rowScales: Float32Array.of(1, -2),
    },
    lowRank: { a: Int8Array.of(1, 2, 3, 4, -128, 127, 0, -1), scales: Float32Array.of(0.5, 0.25) },
  };
  const shape = { out: 2, d: 8, quantizer: { bits: 5, group: 32, symmetric: false }, rank: 4 } as const;
  const packed = pack({ shape, content });
  const written = Array.from({ length: packed.length / 16 }, (_, line) => [
    line * 16,
    packed.subarray(line * 16, line * 16 + 16).toString("hex"),
  ]).filter(([, hex]) => hex !== "0".repeat(32));
  expect(packed).toHaveLength(64 + 64 + 64 + 320 + 128);
  expect(Object.fromEntries(written)).toEqual({
    0: "0000803f000000c00000000000000000", // row scales
    64: "03fe0000000000000000000000000000", // group scales
    128: "10090000000000000000000000000000", // zeros
    192: "80a2c4e680a2c4e60000000000000000", // lower four bits, of columns 4 to 7 in the high nibbles
    448: "00000000030303030000000000000000", // fifth bits, of columns 4 to 7 in bit 1
    512: "0000003f0000803e0000000000000000", // row scales of A
    576: "8182838400ff807f0000000000000000", // a + 128
  });
});
