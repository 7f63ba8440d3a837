import { expect, test } from "vitest";
import { withCodedWeights } from "../models/coded.js";
import type { Model } from "../models/model.js";
import { makePlan } from "../passes/index.js";
import { toBf16 } from "../read/dequantize.js";
import { schedule } from "../schedule/program.js";
import { densePlan, noFactors, skipOtherTargets, testTargets, writePlanBundle } from "../testing/fixtures.js";
import {
  gaussian,
  generate,
  hardInputs,
  hardWeights,
  linearModel,
  randomBlocks,
  type StoredTensor,
  storedAs,
} from "../testing/kernels.js";

await skipOtherTargets();

/** The ids that a head chooses of every input, each in a pass of its own: screened, and whole. */
async function choicesOf(model: Model, steps: number, targets: number): Promise<void> {
  const plan = makePlan(model.graph, { options: densePlan });
  const bundle = (screenedHead: boolean) =>
    writePlanBundle(model, plan, ["exact"], noFactors, all, { screenedHead });
  const all = (await testTargets()).slice(0, targets);
  const { exact } = schedule(plan, ["exact"], all[0]!, { screenedHead: true }).programs;
  expect(exact!.screened, "launches of a screened head").toHaveLength(2);
  const [whole, screened] = [await bundle(false), await bundle(true)];
  for (const [index, target] of all.entries()) {
    const feeding = { target, mode: "exact", threads: 1 + (index % 2) } as const;
    const expected = await generate(whole, [0], steps, feeding);
    expect(expected.length, target.name).toBe(steps - 1);
    expect(await generate(screened, [0], steps, feeding), target.name).toEqual(expected);
  }
  model.weights.close();
}

/**
 * Rows of which many are nearly or exactly alike: every fourth is another with a step of bf16 in one place, every tenth
 * another one itself; some are zero, or tiny.
 */
function likeRows(out: number, d: number): Float32Array {
  const random = gaussian(out + d);
  const w = Float32Array.from({ length: out * d }, () => random() / 8);
  // Columns that are larger than others, as trained heads have them.
  for (let row = 0; row < out; row++) for (const column of [3, 40]) w[row * d + column]! *= 20;
  const words = toBf16(w);
  for (let row = 8; row < out; row++) {
    const from = (row * 7919) % (row - 1);
    if (row % 4 === 3 || row % 10 === 5) words.copyWithin(row * d, from * d, (from + 1) * d);
    if (row % 4 === 3) words[row * d + ((row * 31) % d)]! += row % 8 === 3 ? 1 : -1;
    if (row % 97 === 0) words.fill(0, row * d, (row + 1) * d);
    if (row % 89 === 0) for (let j = 0; j < d; j++) words[row * d + j]! &= 0x8fff;
  }
  return Float32Array.from(words, (word) => new Float32Array(Uint32Array.of(word << 16).buffer)[0]!);
}

/** Inputs of which many lie along a row or between two, of every size, some with few elements, some zero. */
function nearInputs(steps: number, w: Float32Array, d: number): Float32Array {
  const random = gaussian(7);
  const rows = w.length / d;
  const sizes = [1, 1, 1, 1, 1e-30, 1e-41, 1e10, 1e19, 0, 1];
  const x = new Float32Array(steps * d);
  for (let step = 0; step < steps; step++) {
    const [a, b] = [(step * 101) % rows, (step * 57 + 13) % rows];
    const along = [0, 1, 0.5, 0, 1, 4][step % 6]!;
    for (let j = 0; j < d; j++) {
      const noise = step % 7 === 2 && j % 9 !== step % 9 ? 0 : random() / 4;
      const toward = along * w[a * d + j]! + (step % 12 < 6 ? along * w[b * d + j]! : 0);
      // Between two rows that differ in one place the noise would decide.
      const near = step % 5 === 4 && along > 0 ? 0 : noise;
      x[step * d + j] = (toward + near) * sizes[step % sizes.length]!;
    }
  }
  return x;
}

const stored = (dtype: "f32" | "f16" | "bf16", w: Float32Array, d: number): StoredTensor & { d: number } => ({
  dtype,
  out: w.length / d,
  d,
  bytes: storedAs(dtype, w),
});

test("a screened head chooses as the whole one does, in 102,000 steps over all targets", async () => {
  const [out, d, steps] = [777, 96, 34001];
  const w = likeRows(out, d);
  await choicesOf(await linearModel(nearInputs(steps, w, d), steps, stored("bf16", w, d)), steps, 3);
});

test("of every plain type, with tiny and huge rows, in several segments", async () => {
  const [out, d, steps] = [138, 1250, 400];
  for (const dtype of ["bf16", "f16", "f32"] as const) {
    const w = hardWeights(dtype, out, d);
    await choicesOf(await linearModel(hardInputs(steps, d), steps, stored(dtype, w, d)), steps, 1);
  }
});

test("of Q8_0", async () => {
  const [out, d, steps] = [777, 96, 2000];
  const w = likeRows(out, d);
  const bytes = randomBlocks("q8_0", out * d, 3);
  // Rows that are others, too, byte by byte.
  const rowBytes = bytes.length / out;
  for (let row = 5; row < out; row += 10)
    bytes.copyWithin(row * rowBytes, (row - 5) * rowBytes, (row - 4) * rowBytes);
  const model = await linearModel(nearInputs(steps, w, d), steps, { dtype: "q8_0", out, d, bytes });
  await choicesOf(model, steps, 1);
});

test("of packed weights", async () => {
  const [out, d, steps] = [777, 96, 2000];
  const w = likeRows(out, d);
  const model = await linearModel(nearInputs(steps, w, d), steps, stored("bf16", w, d));
  const graph = withCodedWeights(model.graph, model.weights);
  expect(JSON.stringify(graph)).toContain('"coded":');
  await choicesOf({ ...model, graph }, steps, 1);
});
