import fc from "fast-check";
import { expect, test } from "vitest";
import { blockSizes, type DType } from "../ir/graph.js";
import { packPlanes, tilePlanes, unitLayouts } from "./planes.js";
import { tileRows } from "./tiles.js";

/** What a unit has in each plane, as plainly as gpu/weights.h says it. */
function unitParts(dtype: DType, block: Uint8Array, unit: number): Uint8Array[] {
  const part = (begin: number, end: number) => block.slice(begin, end);
  const nibbles = (value: (element: number) => number) =>
    Uint8Array.from({ length: 16 }, (_, i) => (value(i) & 15) | ((value(16 + i) & 15) << 4));
  /** Element i's bits in a plane: pairs (i, i + 2) are in the low and the high half of words, pair after pair. */
  const pairs = (width: number, value: (element: number) => number) => {
    const packed = new DataView(new ArrayBuffer((32 * width) / 8));
    for (let i = 0; i < 32; i++) {
      const [pair, half] = [2 * Math.floor(i / 4) + (i % 2), Math.floor((i % 4) / 2)];
      const [word, place] = [Math.floor((pair * width) / 16), (pair * width) % 16];
      packed.setUint32(4 * word, packed.getUint32(4 * word, true) | (value(i) << (place + 16 * half)), true);
    }
    return new Uint8Array(packed.buffer);
  };
  const bitOf = (begin: number) => (i: number) => (block[begin + (i >> 3)]! >> (i % 8)) & 1;
  switch (dtype) {
    case "f32":
    case "f16":
    case "bf16":
      throw new Error("a unit is a run of bytes");
    case "q8_0":
      return [part(2, 18), part(18, 34), part(0, 2)];
    case "q4_0":
      return [part(2, 18), part(0, 2)];
    case "q4_1":
      return [part(4, 20), part(0, 4)];
    case "i4":
      return [part(4, 20), part(0, 4)];
    case "i4_128":
    case "nf4":
    case "fp4":
      return [part(4 + 16 * unit, 20 + 16 * unit), part(0, 4)];
    case "i8":
    case "f8":
      return [part(4, 20), part(20, 36), part(0, 4)];
    case "f8_128":
      return [part(4 + 32 * unit, 20 + 32 * unit), part(20 + 32 * unit, 36 + 32 * unit), part(0, 4)];
    case "q5_0":
      return [part(6, 22), pairs(1, bitOf(2)), part(0, 2)];
    case "q5_1":
      return [part(8, 24), pairs(1, bitOf(4)), part(0, 4)];
    case "q4_k":
    case "q5_k": {
      const quants = part(dtype === "q5_k" ? 48 : 16, block.length);
      const low = nibbles((i) => quants[32 * (unit >> 1) + i]! >> (4 * (unit % 2)));
      const fifth = pairs(1, (i) => (block[16 + i]! >> unit) & 1);
      return dtype === "q5_k" ? [low, fifth, part(0, 16)] : [low, part(0, 16)];
    }
    case "q6_k": {
      const [half, quarter] = [unit >> 2, unit % 4];
      const low = nibbles((i) => block[64 * half + 32 * (quarter % 2) + i]! >> (quarter < 2 ? 0 : 4));
      const high = pairs(2, (i) => (block[128 + 32 * half + i]! >> (2 * quarter)) & 3);
      return [low, high, part(192 + 2 * unit, 194 + 2 * unit), part(208, 210)];
    }
    default:
      return dtype satisfies never;
  }
}

/** packPlanes, a unit after another. */
function slowly(dtype: DType, d: number, rows: Uint8Array): Uint8Array {
  const { elements: perBlock, bytes: blockBytes } = blockSizes[dtype];
  const { elements, planes } = unitLayouts[dtype];
  const rowBytes = (d / perBlock) * blockBytes;
  const count = rows.length / rowBytes;
  const { bytes: tileBytes, begins } = tilePlanes(dtype, d);
  const packed = new Uint8Array(Math.ceil(count / tileRows) * tileBytes);
  for (let row = 0; row < count; row++) {
    const stored = rows.slice(row * rowBytes, (row + 1) * rowBytes);
    for (let unit = 0; unit * elements < d; unit++) {
      const block = Math.floor((unit * elements) / perBlock);
      const parts =
        perBlock === 1
          ? [stored.slice(unit * 16, unit * 16 + 16)]
          : unitParts(
              dtype,
              stored.slice(block * blockBytes, (block + 1) * blockBytes),
              unit % (perBlock / elements),
            );
      for (const [plane, part] of parts.entries()) {
        const { bytes, units } = planes[plane]!;
        const place = (Math.floor(unit / units) * tileRows + (row % tileRows)) * bytes;
        packed.set(part, Math.floor(row / tileRows) * tileBytes + begins[plane]! + place);
      }
    }
  }
  return packed;
}

const cases = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(blockSizes) as DType[])),
    out: fc.integer({ min: 1, max: 9 }),
    units: fc.integer({ min: 1, max: 40 }),
    skip: fc.constantFrom(0, 1, 2, 4),
  })
  .chain(({ dtype, out, units, skip }) => {
    const { elements, bytes } = blockSizes[dtype];
    const count = elements > 1 ? 1 + (units % 3) : units;
    const length = out * count * bytes;
    return fc.record({
      dtype: fc.constant(dtype),
      d: fc.constant(count * elements),
      skip: fc.constant(skip),
      rows: fc.uint8Array({ minLength: length, maxLength: length }),
    });
  });

test("every unit's parts lie in their planes, whatever was in the buffer before", () => {
  fc.assert(
    fc.property(cases, ({ dtype, d, skip, rows }) => {
      const shifted = new Uint8Array(skip + rows.length).subarray(skip);
      shifted.set(rows);
      const expected = slowly(dtype, d, rows);
      expect(packPlanes(dtype, d, shifted)).toEqual(expected);
      const used = new Uint8Array(expected.length + 5).fill(0xa5);
      expect(packPlanes(dtype, d, shifted, used)).toEqual(expected);
    }),
    { numRuns: 400 },
  );
});
