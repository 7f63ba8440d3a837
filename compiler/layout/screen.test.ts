import { expect, test } from "vitest";
import { gaussian, matrixRef } from "../testing/kernels.js";
import { canScreen, packScreen, screenLayout, screenRank } from "./screen.js";

/** The bytes of the copy of a matrix [out, d]. */
function copyOf(w: Float32Array, out: number, d: number): Uint8Array {
  const source = { kind: "screen", matrix: matrixRef("w", "f32", out, d) } as const;
  const pieces = [...packScreen(source, (first, rows) => w.slice(first * d, (first + rows) * d))];
  return new Uint8Array(Buffer.concat(pieces));
}

test("a copy keeps the largest columns apart, and says that its rows are little off", () => {
  const [out, d] = [1003, 288];
  const random = gaussian(1);
  const large = [5, 17, 80, 287];
  const w = Float32Array.from({ length: out * d }, (_, i) => random() * (large.includes(i % d) ? 30 : 1));
  const copy = copyOf(w, out, d);
  const { bytes, header, tile, norms } = screenLayout({ out, d });
  expect(copy.length).toBe(bytes);
  const columns = [...new Int32Array(copy.buffer, 0, screenRank)];
  expect(columns).toEqual([...columns].sort((a, b) => a - b));
  expect(columns).toEqual(expect.arrayContaining(large));
  const limits = new Float32Array(copy.buffer, header + norms, 32);
  const others = Math.sqrt(d - screenRank);
  for (const limit of limits.subarray(0, 16)) expect(limit / others).toBeLessThan(0.04);
  expect(Math.min(...limits.subarray(0, 16)) / others).toBeGreaterThan(0.01);
  // Rows that are missing in the last tile are off by anything.
  const last = new Float32Array(copy.buffer, header + 62 * tile + norms, 32);
  expect([...last].map((limit) => limit < 100)).toEqual([...Array(32).keys()].map((i) => i % 16 < out % 16));
});

test("a row so large that its products may overflow is off by anything", () => {
  const w = new Float32Array(32 * 64).fill(1);
  w[64] = 1e19;
  const { header, norms } = screenLayout({ out: 32, d: 64 });
  const limits = new Float32Array(copyOf(w, 32, 64).buffer, header + norms, 32);
  expect([...limits].map(Number.isFinite)).toEqual([...Array(32).keys()].map((i) => i % 16 !== 1));
});

test("heads with offsets, in act-order and of short rows are read whole", () => {
  const of = (dtype: "bf16" | "q8_0" | "q4_1", d: number) => ({ ...matrixRef("w", dtype, 100, d) });
  expect(canScreen(of("bf16", 64))).toBe(true);
  expect(canScreen(of("bf16", 63))).toBe(false);
  expect(canScreen(of("q8_0", 64))).toBe(true);
  expect(canScreen(of("q4_1", 64))).toBe(false);
  expect(canScreen({ ...of("bf16", 64), ordered: true })).toBe(false);
});
