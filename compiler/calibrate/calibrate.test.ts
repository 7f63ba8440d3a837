import { readdirSync, readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type ProgressListener, runTool } from "../cc/tool.js";
import { relativeError } from "../check/check.js";
import type { Graph, ValueId } from "../ir/graph.js";
import type { Model } from "../models/model.js";
import { evaluateGraph } from "../oracle/reference.js";
import { makePlan } from "../passes/index.js";
import { readSafetensorsHeader } from "../read/safetensors.js";
import { readTensors, type TensorToWrite, writeSafetensors } from "../read/safetensors-write.js";
import {
  densePlan,
  noFactors,
  openFixture,
  temporaryFolder,
  testTargets,
  writeTestBundle,
} from "../testing/fixtures.js";
import { omegaOf } from "../testing/sketch.js";
import { openStats } from "./stats-file.js";
import { asWindows } from "./text.js";

/** Statistics that gsic-tool gathers; returns the file. */
async function collect(
  model: Model,
  ids: readonly number[],
  window: number,
  extra: readonly string[] = [],
  how: { readonly out?: string; readonly progress?: ProgressListener } = {},
) {
  const bundle = await writeTestBundle(
    model,
    densePlan,
    ["exact"],
    noFactors,
    (await testTargets()).slice(0, 1),
  );
  const folder = await temporaryFolder();
  const { out = join(folder, "stats.safetensors"), progress } = how;
  const file = join(folder, "ids");
  await writeFile(file, Int32Array.from(ids));
  const meta = ["--meta", `model=${model.fingerprint}`, "--meta", `tokens=${ids.length}`];
  const args = ["--ids-file", file, "--window", `${window}`, "--out", out, ...meta, ...extra];
  await runTool(["calibrate", bundle, ...args], progress);
  return out;
}

/** Inputs of linears, and all their vectors in float64, window by window. */
function inputVectors(graph: Graph, model: Model, ids: readonly number[], window: number) {
  const inputs = makePlan(graph, { options: densePlan }).groups.map(({ input }) => input);
  const vectors = new Map<ValueId, Float64Array[]>(inputs.map((input) => [input, []]));
  for (let at = 0; at < ids.length; at += window) {
    const values = evaluateGraph(graph, model.weights, ids.slice(at, at + window));
    for (const [input, list] of vectors) {
      const { data, width } = values.get(input)!;
      for (let i = 0; i < data.length; i += width) list.push(data.subarray(i, i + width));
    }
  }
  return vectors;
}

/** Mean, mean of ||x||^2, and E[x x^T]. */
function momentsOf(rows: readonly Float64Array[]) {
  const d = rows[0]!.length;
  const mean = new Float64Array(d);
  const second = new Float64Array(d * d);
  for (const row of rows) {
    for (let i = 0; i < d; i++) {
      mean[i]! += row[i]! / rows.length;
      for (let j = 0; j < d; j++) second[i * d + j]! += (row[i]! * row[j]!) / rows.length;
    }
  }
  const norm = Array.from({ length: d }, (_, i) => second[i * d + i]!).reduce((a, b) => a + b, 0);
  return { d, mean, second, norm };
}

const someIds = (count: number, vocabulary: number) =>
  Array.from({ length: count }, (_, i) => (i * i * 7 + i * 3 + 1) % vocabulary);

describe("calibration gathers the moments that the oracle has", () => {
  // 1100 tokens are more than a block of 1024; 37 is no multiple of a pass; 21 and 1 leave short windows.
  for (const [name, count, window] of [
    ["gpt2-bf16", 1100, 37],
    ["llama-biases", 21, 20],
    ["llama-gguf", 40, 13],
  ] as const) {
    test(`${name}: ${count} tokens in windows of ${window}`, async () => {
      const { model } = await openFixture(name);
      const ids = someIds(count, model.graph.vocabulary);
      const stats = await openStats(await collect(model, ids, window), model.fingerprint);
      expect(stats).toMatchObject({ model: model.fingerprint, tokens: count });
      for (const [input, rows] of inputVectors(model.graph, model, ids, window)) {
        const expected = momentsOf(rows);
        const found = stats.read(input, expected.d);
        expect(found.count, input).toBe(count);
        expect(relativeError(found.mean, expected.mean), input).toBeLessThan(1e-5);
        expect(Math.abs(found.meanSquaredNorm / expected.norm - 1), input).toBeLessThan(1e-5);
        if (found.secondMoment.kind !== "exact") throw new Error("a small input is not sketched");
        const { matrix } = found.secondMoment;
        expect(relativeError(matrix, expected.second), input).toBeLessThan(1e-5);
        const { d } = expected;
        expect(matrix.every((value, i) => value === matrix[(i % d) * d + Math.floor(i / d)])).toBe(true);
      }
      model.weights.close();
    });
  }

  test("a sketch is C Omega, over blocks too, and so it is in groups", async () => {
    const { model } = await openFixture("gpt2-bf16");
    const ids = someIds(1100, model.graph.vocabulary);
    // Exact to d = 100; and 70 columns, to go beyond a word of signs.
    const extra = ["--exact-bytes", "40000", "--sketch-width", "70"];
    const file = await collect(model, ids, 48, extra);
    const grouped = await collect(model, ids, 48, [...extra, "--memory", "1"]);
    expect(readFileSync(grouped).equals(readFileSync(file))).toBe(true);
    const stats = await openStats(file, model.fingerprint);
    const kinds = new Set<string>();
    for (const [input, rows] of inputVectors(model.graph, model, ids, 48)) {
      const { d, second } = momentsOf(rows);
      const { secondMoment } = stats.read(input, d);
      kinds.add(`${secondMoment.kind} ${d}`);
      if (secondMoment.kind === "exact") continue;
      const { seed, product, width } = secondMoment;
      expect(width).toBe(70);
      const omega = omegaOf(seed, d, width);
      const expected = Float64Array.from({ length: d * width }, (_, at) => {
        const [i, j] = [Math.floor(at / width), at % width];
        let sum = 0;
        for (let m = 0; m < d; m++) sum += second[i * d + m]! * omega[m * width + j]!;
        return sum;
      });
      expect(relativeError(product, expected), input).toBeLessThan(1e-5);
    }
    expect([...kinds].sort()).toEqual(["exact 34", "sketch 136"]);
    model.weights.close();
  });
});

test("a killed calibration goes on from the groups that it finished", async () => {
  const { model } = await openFixture("gpt2-bf16");
  const ids = someIds(100, model.graph.vocabulary);
  const steps = ["--memory", "1", "--resume", "1"];
  const out = await collect(model, ids, 48, steps);
  const complete = readFileSync(out);
  const { tensors } = readSafetensorsHeader(out);
  const marks = [...tensors.values()].filter(({ name }) => name.endsWith(".count"));
  // What a process leaves that is killed in its fourth group: three marks, and data that nothing speaks for.
  const left = Buffer.from(complete);
  for (const { offset, bytes } of marks.slice(3)) left.fill(0, offset, offset + bytes);
  const mean = (mark: number) => tensors.get(marks[mark]!.name.replace(".count", ".mean"))!.offset;
  left.writeFloatLE(42, mean(0));
  left.writeFloatLE(42, mean(3));
  await rename(out, `${out}.old`);
  await writeFile(`${out}.partial`, left);
  const totals = new Set<number>();
  await collect(model, ids, 48, steps, { out, progress: (_, total) => totals.add(total) });
  expect([...totals]).toEqual([(marks.length - 3) * ids.length]);
  // The first group was taken as it was found, the fourth was made again.
  const expected = Buffer.from(complete);
  expected.writeFloatLE(42, mean(0));
  expect(readFileSync(out).equals(expected)).toBe(true);
  // Other statistics are not gone on with; complete ones are left alone.
  await rename(out, `${out}.partial`);
  await collect(model, ids, 48, [...steps, "--meta", "other=1"], { out });
  expect((await readTensors(out)).tensors.get("layer0_attention_norm.mean")!.data[0]).not.toBe(42);
  await writeFile(out, "anything");
  await collect(model, ids, 48, steps, { out });
  expect(readFileSync(out, "utf8")).toBe("anything");
  expect(readdirSync(dirname(out)).filter((name) => name.includes("partial"))).toEqual([]);
  model.weights.close();
});

describe("statistics that do not fit are refused", () => {
  const small = async () => {
    const { model } = await openFixture("gpt2-bf16");
    return { model, file: await collect(model, [1, 2, 3], 3) };
  };

  test("of another model, of another width, of an input that was not seen", async () => {
    const { model, file } = await small();
    await expect(openStats(file, "another")).rejects.toMatchObject({ code: "stats-other-model" });
    const stats = await openStats(file, model.fingerprint);
    const read = (input: string, d: number) => () => stats.read(input, d);
    expect(read("layer0_attention_norm", 34)).not.toThrow();
    expect(read("layer0_attention_norm", 35)).toThrow(expect.objectContaining({ code: "stats-invalid" }));
    expect(read("layer9_attention_norm", 34)).toThrow(
      expect.objectContaining({ code: "stats-input-missing" }),
    );
    model.weights.close();
  });

  test("a file that names no model is taken: PyTorch cannot know the fingerprint", async () => {
    const { model, file } = await small();
    const { tensors } = await readTensors(file);
    const bare = join(await temporaryFolder(), "bare.safetensors");
    const copies = [...tensors.values()].flatMap(({ name, shape, data }): TensorToWrite[] => {
      if (data instanceof Float32Array) return [{ name, dtype: "F32", shape, data }];
      return data instanceof BigInt64Array ? [{ name, dtype: "I64", shape, data }] : [];
    });
    await writeSafetensors(bare, copies);
    const stats = await openStats(bare, model.fingerprint);
    expect(stats.origin).toEqual({ kind: "file", file: bare });
    // Without the mean of ||x||^2 (F64, which is not copied), no input is complete.
    expect(() => stats.read("layer0_attention_norm", 34)).toThrow(
      expect.objectContaining({ code: "stats-invalid" }),
    );
    model.weights.close();
  });
});

describe("windows", () => {
  test("without room behind the prefix are refused", () => {
    expect(() => asWindows(Int32Array.of(1), [9], 1)).toThrow(
      expect.objectContaining({ code: "window-too-short", category: "usage" }),
    );
  });

  test("each begins with the prefix", () => {
    const ids = Int32Array.of(1, 2, 3, 4, 5, 6, 7);
    expect([...asWindows(ids, [], 3)]).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect([...asWindows(ids, [9], 4)]).toEqual([9, 1, 2, 3, 9, 4, 5, 6]);
    expect([...asWindows(ids, [9], 3)]).toEqual([9, 1, 2, 9, 3, 4, 9, 5, 6]);
    expect([...asWindows(Int32Array.of(1), [9], 3)]).toEqual([9, 1]);
    expect([...asWindows(Int32Array.of(1, 2, 3, 4), [9], 4)]).toEqual([9, 1, 2, 3]);
  });
});
