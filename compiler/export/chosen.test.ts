/** A plan of llama.cpp's types from model.toml to the file: what was asked for, what was measured, and the same model in both. */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build } from "../build.js";
import { openBuild } from "../build-folder/open.js";
import { Algebra } from "../calibrate/algebra.js";
import { collectStats } from "../calibrate/collect.js";
import { RoundedMatrices } from "../calibrate/rounded.js";
import { runnableTargets } from "../cc/machine.js";
import { runTool } from "../cc/tool.js";
import { relativeError } from "../check/check.js";
import { namedFiles } from "../config/build-files.js";
import { type Config, readConfig } from "../config/config.js";
import { readGraph } from "../models/index.js";
import { openModel } from "../models/model.js";
import { referenceLogits } from "../oracle/reference.js";
import { makePlan } from "../passes/index.js";
import { readTensors } from "../read/safetensors-write.js";
import { Weights } from "../read/weights.js";
import type { Report } from "../report/report.js";
import { KeptFactors } from "../search/kept-factors.js";
import { planTypes } from "../search/types.js";
import { packageRoot } from "../support/paths.js";
import { silent } from "../support/progress.js";
import { size } from "../support/text.js";
import { temporaryFolder } from "../testing/fixtures.js";
import { exportGguf } from "./command.js";
import { modelFile } from "./model-file.js";

const bits = 6;
const folder = mkdtempSync(join(tmpdir(), "gsic-chosen-"));
const [toml, out] = [join(folder, "model.toml"), join(folder, "out")];
let report: Report;

/** tiny-gpt2 at six bits a weight. */
beforeAll(async () => {
  const example = join(packageRoot, "examples/tiny-gpt2");
  writeFileSync(
    toml,
    [
      `[model]\nname = "tiny"\nsource = "${example}/model"`,
      `[calibration]\ntext = ["${example}/calibration.txt"]\ntokens = 1024`,
      `[heldout]\ntext = ["${example}/heldout.txt"]\ntokens = 1024`,
      `[quality]\nmode = "bounded"\nbits = ${bits}\n[plan]\ntypes = "gguf"\n`,
    ].join("\n"),
  );
  ({ report } = await build({ input: toml, out, progress: silent }));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the planner makes of the model.toml, with so many threads; nothing that it computed before is used. */
async function planned(threads: number, quality: Partial<Config["quality"]>, ledgers: string) {
  const read = readConfig(toml);
  const config = { ...read, quality: { ...read.quality, ...quality } };
  const model = await openModel(config, () => {});
  const targets = (await runnableTargets()).slice(0, 1);
  const algebra = new Algebra(threads);
  const [kept, rounded] = [await KeptFactors.open(), await RoundedMatrices.open(model.weights, algebra)];
  try {
    const plan = makePlan(model.graph, { options: { ...config.plan, forms: ["dense"] } });
    const { stats, tokens: calibration } = await collectStats(model, config, targets, silent, plan);
    const job = {
      model,
      config,
      targets,
      plan,
      stats,
      calibration,
      algebra,
      kept,
      rounded,
      progress: silent,
    };
    return (await planTypes({ ...job, ledgers, file: modelFile(model) })).report;
  } finally {
    await algebra.close();
    await kept.close();
    await rounded.close();
    model.weights.close();
  }
}

describe("types within a size", () => {
  test("take no more, lose little, and are named in the report", () => {
    const { types, frontier, inputs, max_kl } = report.search!;
    expect(max_kl).toBeNull();
    expect(types!.bits_per_weight).toBeLessThanOrEqual(bits);
    expect(types!.bits_per_weight).toBeGreaterThan(bits - 0.1);
    expect(types!.bytes).toBeLessThanOrEqual(types!.max_bytes!);
    const chosen = frontier.find((one) => one.chosen)!;
    expect(chosen.file_bytes).toBe(types!.bytes);
    // What plans are predicted to lose is what they do, and more bytes lose less.
    for (const { predicted_kl: predicted, kl } of frontier.filter((one) => one.predicted_kl > 0)) {
      expect(kl.value / predicted).toBeGreaterThan(0.3);
      expect(kl.value / predicted).toBeLessThan(3);
    }
    expect(frontier.map(({ file_bytes }) => file_bytes)).toEqual(
      frontier.map(({ file_bytes }) => file_bytes).toSorted((a, b) => a! - b!),
    );
    expect(frontier[0]!.kl.value).toBeGreaterThan(chosen.kl.value);
    expect(new Set(types!.matrices.map(({ type }) => type)).size).toBeGreaterThan(2);
    expect(inputs.flatMap(({ linears }) => linears)).toHaveLength(report.linears.length);
    const { max_bytes: most } = types!;
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain(`might take ${size(most!)}`);
    expect(report.bytes_per_token.fast).toBeLessThan(report.bytes_per_token.dense);
  });

  test("give a file that holds what the build does, and says what was measured", async () => {
    const file = join(await temporaryFolder(), "model.gguf");
    const summary = await exportGguf(openBuild(out), file, null, silent);
    const { types, frontier, validation_tokens: tokens } = report.search!;
    expect(summary.bytes).toBe(types!.bytes);
    expect(summary.bits_per_weight).toBe(types!.bits_per_weight);
    expect(statSync(file).size).toBeGreaterThan(types!.bytes);
    const read = await Weights.open(file);
    try {
      const { kl } = frontier.find((one) => one.chosen)!;
      const noted = (key: string) => read.metadata!.get(`gsic.${key}`);
      expect(noted("validation.kl")).toBeCloseTo(kl.value, 6);
      expect(noted("validation.kl_high")).toBeCloseTo(kl.high, 6);
      expect(noted("validation.tokens")).toBe(tokens);
      expect(noted("max_bytes")).toBe(String(types!.max_bytes));
      for (const { name, type } of types!.matrices) {
        const { dtype, widened } = read.require(name);
        expect(widened ?? dtype, name).toBe(type);
      }
      const ids = [1, 5, 300, 7, 44, 1999, 2];
      const [idsFile, logits] = [`${file}.ids`, `${file}.logits`];
      writeFileSync(idsFile, Int32Array.from(ids));
      const bundle = join(out, namedFiles("tiny").bundle);
      await runTool(["logits", bundle, "--mode", "bounded", "--ids-file", idsFile, "--out", logits]);
      const own = (await readTensors(logits)).tensors.get("logits")!.data as Float32Array;
      const expected = referenceLogits(readGraph(read, "tiny"), read, ids);
      expect(relativeError(own, expected)).toBeLessThan(2e-6);
    } finally {
      read.close();
    }
  });

  test("are built again from graph.ts, bit for bit", async () => {
    const again = `${out}-again`;
    await build({ input: join(out, "graph.ts"), out: again, progress: silent });
    const bundles = [out, again].map((folder) => readFileSync(join(folder, namedFiles("tiny").bundle)));
    expect(bundles[1]!.equals(bundles[0]!)).toBe(true);
  });
});

describe("the planner", () => {
  const ledgers = join(folder, "ledgers");

  test("chooses the same types on any number of threads", async () => {
    for (const threads of [1, 3]) {
      const found = await planned(threads, {}, threads === 1 ? ledgers : await temporaryFolder());
      expect(found).toEqual(report.search);
    }
  });

  test("finds the smallest file within a KL", async () => {
    const { frontier, types, max_kl } = await planned(1, { maxSize: null, maxKl: 1e-3 }, ledgers);
    const chosen = frontier.find((one) => one.chosen)!;
    expect(max_kl).toBe(1e-3);
    expect(types!.max_bytes).toBeNull();
    expect(chosen.kl.high).toBeLessThanOrEqual(1e-3);
    expect(chosen.kl.high).toBeGreaterThan(3e-4);
    for (const { kl, file_bytes: bytes } of frontier)
      if (kl.high <= 1e-3) expect(bytes).toBeGreaterThanOrEqual(chosen.file_bytes!);
  });

  test("refuses a size that no types have, and lossless mode", async () => {
    const small = planned(1, { maxSize: { bytes: 1000 } }, ledgers);
    await expect(small).rejects.toMatchObject({ category: "usage", code: "size-too-small" });
    const drafting = build({ input: toml, out: `${out}-drafts`, mode: "lossless", progress: silent });
    await expect(drafting).rejects.toMatchObject({ category: "usage", code: "types-in-lossless-mode" });
  });
});
