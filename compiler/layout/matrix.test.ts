import fc from "fast-check";
import { expect, test } from "vitest";
import { blockSizes, type DType } from "../ir/graph.js";
import { cpuLayout } from "./cpu.js";
import { packing, packRows, tileRows } from "./tiles.js";

/** The inverse of packRows, an element's bytes after another; also the bytes that belong to no element. */
function unpack(dtype: DType, out: number, d: number, packed: Uint8Array) {
  const { elements, bytes } = blockSizes[dtype];
  const { blockElements, blockBytes, blocks, tiles, segmentBlocks, groupTiles } = packing(dtype, out, d);
  const rows: number[] = [];
  const used = new Set<number>();
  for (let row = 0; row < out; row++) {
    for (let unit = 0; unit < d / elements; unit++) {
      const block = Math.floor((unit * elements) / blockElements);
      const tile = Math.floor(row / tileRows);
      const segment = Math.floor(block / segmentBlocks);
      const group = Math.floor(tile / groupTiles);
      const tilesBefore =
        group * groupTiles * blocks +
        Math.min(groupTiles, tiles - group * groupTiles) * segment * segmentBlocks +
        (tile % groupTiles) * Math.min(segmentBlocks, blocks - segment * segmentBlocks);
      const place = (tilesBefore + (block % segmentBlocks)) * tileRows + (row % tileRows);
      const within = unit % (blockElements / elements);
      const turned = dtype === "bf16" ? (within % 16) * 2 + Math.floor(within / 16) : within;
      const begin = place * blockBytes + turned * bytes;
      for (let i = begin; i < begin + bytes; i++) {
        rows.push(packed[i]!);
        used.add(i);
      }
    }
  }
  return { rows: Uint8Array.from(rows), rest: packed.filter((_, i) => !used.has(i)), used: used.size };
}

const shapes = fc
  .record({
    dtype: fc.constantFrom("f32", "f16", "bf16"),
    out: fc.integer({ min: 1, max: 13 }),
    units: fc.integer({ min: 1, max: 70 }),
    skip: fc.constantFrom(0, 1, 2, 4, 7),
  })
  .chain(({ dtype, out, units, skip }) => {
    const { elements, bytes } = blockSizes[dtype];
    const count = elements > 1 ? 1 + (units % 4) : units;
    return fc.record({
      dtype: fc.constant(dtype),
      out: fc.constant(out),
      d: fc.constant(count * elements),
      skip: fc.constant(skip),
      rows: fc.uint8Array({ minLength: out * count * bytes, maxLength: out * count * bytes }),
    });
  });

test("packing rows loses nothing, and fills up with zeros", () => {
  fc.assert(
    fc.property(shapes, ({ dtype, out, d, skip, rows }) => {
      // Rows that begin anywhere in their buffer, as those of a file that is read in parts.
      const shifted = new Uint8Array(skip + rows.length).subarray(skip);
      shifted.set(rows);
      const packed = packRows(dtype, d, shifted);
      const used = new Uint8Array(packed.length + 5).fill(0xa5);
      expect(packRows(dtype, d, shifted, used)).toEqual(packed);
      const { bytes } = packing(dtype, out, d);
      expect(packed).toHaveLength(bytes);
      const unpacked = unpack(dtype, out, d, packed);
      expect(unpacked.rows).toEqual(rows);
      expect(unpacked.used).toBe(rows.length);
      expect(unpacked.rest.every((byte) => byte === 0)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test("matrices with long rows are cut into segments, and their tiles into groups", () => {
  for (const [dtype, out, d] of [
    ["bf16", 150, 600],
    ["f32", 129, 1153],
    ["f16", 257, 768],
  ] as const) {
    const { elements, bytes } = blockSizes[dtype];
    const rows = Uint8Array.from({ length: (out * d * bytes) / elements }, (_, i) => (i * 7919) >> 3);
    const { groupTiles, segmentBlocks, blocks } = packing(dtype, out, d);
    expect([groupTiles, segmentBlocks < blocks]).toEqual([32, true]);
    const packed = packRows(dtype, d, rows);
    expect(unpack(dtype, out, d, packed).rows).toEqual(rows);
    const first = cpuLayout.runRows({ dtype }, d) * (rows.length / out);
    const parts = [rows.slice(0, first), rows.slice(first)].map((part) => packRows(dtype, d, part));
    expect(Buffer.concat(parts)).toEqual(Buffer.from(packed));
  }
});

test("runs packed one after another are the matrix packed at once", () => {
  fc.assert(
    fc.property(shapes, ({ dtype, out, d, rows }) => {
      const rowBytes = rows.length / out;
      const run = cpuLayout.runRows({ dtype }, d);
      const parts: number[] = [];
      for (let row = 0; row < out; row += run)
        parts.push(...packRows(dtype, d, rows.slice(row * rowBytes, (row + run) * rowBytes)));
      expect(Uint8Array.from(parts)).toEqual(packRows(dtype, d, rows));
    }),
    { numRuns: 100 },
  );
});
