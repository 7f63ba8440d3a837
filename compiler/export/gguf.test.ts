import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Algebra } from "../calibrate/algebra.js";
import { relativeError } from "../check/check.js";
import { readGraph } from "../models/index.js";
import type { Model } from "../models/model.js";
import { referenceLogits } from "../oracle/reference.js";
import { makePlan } from "../passes/index.js";
import type { GgufType } from "../read/gguf-types.js";
import { Weights } from "../read/weights.js";
import { fixtureNames, openFixture, temporaryFolder } from "../testing/fixtures.js";
import { roundsToBlocks, typedTensors, writeExport } from "./gguf.js";

let algebra: Algebra;
beforeAll(() => {
  algebra = new Algebra();
});
afterAll(() => algebra.close());

/** Writes a model with one type of matrices, or as planned: dense, so as it is stored. */
async function exported(model: Model, type: GgufType | null): Promise<string> {
  const file = join(await temporaryFolder(), "model.gguf");
  const plan = makePlan(model.graph, { options: { forms: ["dense"], k: [], epsilon: [] } });
  const job = { model, plan, type };
  await writeExport(file, job, typedTensors(job), { algebra, stats: null }, {}, () => {});
  return file;
}

/** What is not exported from folders, and the code that says so. */
const refused: Readonly<Record<string, string>> = {
  "gemma3-f32": "export-graph",
  "gptj-bf16": "export-family",
  "gptj-f16-masks": "export-family",
  "gptj-f32": "export-family",
  "gptj-tied": "export-family",
  "opt-350m": "export-family",
  "opt-f16": "export-family",
  "opt-f32": "export-family",
  "opt-no-final-norm": "export-family",
  "opt-projected": "export-family",
  "opt-untied": "export-family",
  "phi3-f32": "export-family",
  "phi3-longrope": "export-family",
  "mistral-window": "export-graph",
  "qwen3-bf16": "export-graph",
  "qwen2-window": "export-graph",
};

describe("a model that is exported with exact types, and read from that file, computes the same", () => {
  for (const name of [...fixtureNames(), "gpt2-onnx-dynamo", "llama-onnx-script"]) {
    test(name, async () => {
      const { model, ids, logits } = await openFixture(name);
      const { weights } = model;
      try {
        if (name in refused) {
          await expect(exported(model, "f32")).rejects.toMatchObject({ code: refused[name] });
          return;
        }
        const read = await Weights.open(await exported(model, weights.kind === "gguf" ? null : "f32"));
        const found = referenceLogits(readGraph(read, name), read, ids);
        if (weights.kind === "onnx") expect(readGraph(read, name).context).toBe(model.graph.context);
        read.close();
        expect(relativeError(Float32Array.from(found), logits)).toBeLessThan(1e-5);
      } finally {
        weights.close();
      }
    });
  }
});

test("a GGUF file that is exported as it is stored keeps every tensor and every key", async () => {
  const { model } = await openFixture("llama-gguf");
  const read = await Weights.open(await exported(model, null));
  for (const name of model.weights.names()) {
    const { bytes, dtype, shape } = model.weights.info(name)!;
    expect(read.info(name)).toMatchObject({ bytes, dtype, shape });
    const [before, after] = [model.weights, read].map((one) => one.readBytes(name, 0, bytes));
    expect(Buffer.from(after!).equals(Buffer.from(before!)), name).toBe(true);
  }
  for (const [key, value] of model.weights.metadata!)
    if (key !== "general.file_type") expect(read.metadata!.get(key), key).toEqual(value);
  read.close();
  model.weights.close();
});

test("matrices get the type that is asked for, or one that their rows fit", async () => {
  const { model } = await openFixture("gpt2-f32");
  const plan = makePlan(model.graph, { options: { forms: ["dense"], k: [], epsilon: [] } });
  const typesOf = (type: GgufType | null) =>
    typedTensors({ model, plan, type }).flatMap((one) => ("matrix" in one ? [one.type] : []));
  // Rows of 34 elements are no blocks at all.
  expect(new Set(typesOf("q4_k"))).toEqual(new Set(["f16"]));
  expect(new Set(typesOf("bf16"))).toEqual(new Set(["bf16"]));
  expect(new Set(typesOf(null))).toEqual(new Set(["f32"]));
  expect(roundsToBlocks(typedTensors({ model, plan, type: "bf16" }))).toBe(false);
  model.weights.close();
});
