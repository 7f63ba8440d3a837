import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../testing/fixtures.js";
import { dequantize } from "./dequantize.js";
import { writeGguf } from "./gguf-write.js";
import { widenIq4Nl } from "./iq4-nl.js";
import { Weights } from "./weights.js";

/** The format's table. */
const levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/** Two rows of two blocks, every level in them, with the values that they stand for. */
const rows = 2;
const bytes = new Uint8Array(rows * 2 * 18);
const values: number[] = [];
for (let block = 0; block < 4; block++) {
  // f16: 1, 2, 4 and 8.
  bytes[18 * block + 1] = 0x3c + 4 * block;
  for (let i = 0; i < 16; i++) {
    const [low, high] = [(i + block) % 16, (3 * i + block) % 16];
    bytes[18 * block + 2 + i] = low | (high << 4);
    values[32 * block + i] = 2 ** block * levels[low]!;
    values[32 * block + 16 + i] = 2 ** block * levels[high]!;
  }
}

test("blocks of IQ4_NL hold the same values as the blocks of Q8_0 that they are read as", async () => {
  expect([...dequantize("q8_0", widenIq4Nl(bytes), values.length)]).toEqual(values);
  const file = join(await temporaryFolder(), "model.gguf");
  const plain = { name: "other", type: "f32", shape: [8], data: () => [new Uint8Array(32)] } as const;
  const matrix = { name: "m", type: "iq4_nl", shape: [rows, 64], data: () => [bytes] } as const;
  await writeGguf(file, new Map(), [matrix, plain]);
  const weights = await Weights.open(file);
  try {
    expect(weights.info("m")).toMatchObject({ dtype: "q8_0", bytes: 4 * 34, widened: "iq4_nl" });
    const ref = { tensor: "m", dtype: "q8_0", out: rows, d: 64, transposed: false, first: 0 } as const;
    expect([...weights.readRows(ref, 1, 1)]).toEqual(values.slice(64));
    expect(weights.fingerprint()).toMatch(/^[0-9a-f]{64}$/);
    const wide = weights.readBytes("m", 0, 4 * 34);
    for (const [begin, end] of [
      [0, 1],
      [33, 35],
      [50, 136],
    ] as const)
      expect(weights.readBytes("m", begin, end)).toEqual(wide.subarray(begin, end));
  } finally {
    weights.close();
  }
});
