/**
 * Files that gsic exports, in llama.cpp itself: `npm run test:llamacpp` installs its library as node-llama-cpp has it
 * compiled, and names the folder in GSIC_LLAMACPP.
 */

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Algebra } from "../calibrate/algebra.js";
import { readConfig } from "../config/config.js";
import { mapMatrices, roundedMatrix } from "../ir/rounded.js";
import { type Model, openModel } from "../models/model.js";
import { referenceLogits } from "../oracle/reference.js";
import { makePlan } from "../passes/index.js";
import type { GgufType } from "../read/gguf-types.js";
import { type TokenizerModel, textTokenizer } from "../read/tokenizer.js";
import { split } from "../read/tokenizer-json-parts.js";
import { gpt2Pattern } from "../read/tokenizer-regex.js";
import { packageRoot } from "../support/paths.js";
import { openFixture, temporaryFolder } from "../testing/fixtures.js";
import { typedTensors, writeExport } from "./gguf.js";
import { exportTypes } from "./types.js";

/** What this test calls of node-llama-cpp. */
interface LlamaCpp {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<LoadedModel>;
    dispose(): Promise<void>;
  }>;
}
interface LoadedModel {
  readonly fileInfo: { readonly metadata: { readonly gsic?: Readonly<Record<string, unknown>> } };
  createContext(options: object): Promise<{ getSequence(): Sequence; dispose(): Promise<void> }>;
  tokenize(text: string, special?: boolean): number[];
  dispose(): Promise<void>;
}
interface Sequence {
  controlledEvaluate(
    input: readonly (readonly [number, object])[],
  ): Promise<readonly ({ next: { probabilities?: ReadonlyMap<number, number> } } | undefined)[]>;
}

const folder = process.env.GSIC_LLAMACPP;
let algebra: Algebra;
let llama: Awaited<ReturnType<LlamaCpp["getLlama"]>>;

beforeAll(async () => {
  if (folder === undefined) return;
  algebra = new Algebra();
  const file = join(folder, "node_modules/node-llama-cpp/dist/index.js");
  const { getLlama } = (await import(pathToFileURL(file).href)) as LlamaCpp;
  llama = await getLlama({ gpu: false, build: "never", logLevel: "error", maxThreads: 1 });
});
afterAll(async () => {
  await algebra?.close();
  await llama?.dispose();
});

async function exported(model: Model, type: GgufType | null, graph = model.graph): Promise<string> {
  const file = join(await temporaryFolder(), "model.gguf");
  const plan = makePlan(graph, { options: { forms: ["dense"], k: [], epsilon: [] } });
  const job = { model, plan, type };
  await writeExport(file, job, typedTensors(job), { algebra, stats: null }, {}, () => {});
  return file;
}

/** A token for each byte, as many as there are rows of an embedding: llama.cpp runs nothing without a tokenizer. */
function byteTokenizer(vocabulary: number): TokenizerModel {
  return {
    kind: "byte-level",
    tokens: Array.from({ length: vocabulary }, (_, byte) => Uint8Array.of(byte)),
    merges: new Uint32Array(0),
    added: [],
    normalizer: "none",
    steps: [split(gpt2Pattern, "")],
    ignoreMerges: false,
    byteFallback: false,
    unknown: null,
    fuseUnknown: false,
    bos: 0,
    eos: 1,
    prefix: [],
    stripLeadingSpace: false,
  };
}

/** Opens a file in llama.cpp for the time of `use`. */
async function opened<T>(
  file: string,
  use: (model: LoadedModel, sequence: Sequence) => Promise<T>,
): Promise<T> {
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({ contextSize: 256, threads: 1 });
  try {
    return await use(model, context.getSequence());
  } finally {
    await context.dispose();
    await model.dispose();
  }
}

/** The distributions that llama.cpp gives the token behind each of some ids, [ids, vocabulary]. */
async function distributions(
  sequence: Sequence,
  ids: readonly number[],
  vocabulary: number,
): Promise<Float64Array[]> {
  const asked = ids.map((id) => [id, { generateNext: { probabilities: true } }] as const);
  const found = await sequence.controlledEvaluate(asked);
  return found.map((one) =>
    Float64Array.from({ length: vocabulary }, (_, id) => one?.next.probabilities?.get(id) ?? 0),
  );
}

/** The mean KL of rows of logits against distributions, in nats. */
function divergence(logits: ArrayLike<number>, others: readonly Float64Array[]): number {
  const width = logits.length / others.length;
  const all = others.map((other, row) => {
    const own = Array.from({ length: width }, (_, i) => logits[row * width + i]!);
    const most = Math.max(...own);
    const total = own.reduce((sum, one) => sum + Math.exp(one - most), 0);
    return own.reduce((sum, one, i) => {
      const p = Math.exp(one - most) / total;
      return p === 0 ? sum : sum + p * Math.log(p / other[i]!);
    }, 0);
  });
  return all.reduce((sum, one) => sum + one, 0) / all.length;
}

describe.skipIf(folder === undefined)(
  "llama.cpp (skipped without GSIC_LLAMACPP: npm run test:llamacpp)",
  () => {
    /** Of every architecture, with what its file has besides: biases, divisors of rotary frequencies, tied heads. */
    const fixtures = [
      "gemma3-old",
      "gpt2-f32",
      "llama-biases",
      "llama-bf16",
      "llama-llama3-rope",
      "llama-linear-rope",
      "llama-tied",
      "mistral-no-window",
      "qwen2-f32",
      "qwen3-f32",
    ];

    test.each(fixtures)("computes what transformers does: %s", async (name) => {
      const { model, ids, logits } = await openFixture(name);
      const file = await exported({ ...model, tokenizer: byteTokenizer(model.graph.vocabulary) }, "f32");
      const found = await opened(file, (_, sequence) => distributions(sequence, ids, model.graph.vocabulary));
      expect(divergence(logits, found)).toBeLessThan(1e-5);
      model.weights.close();
    });

    describe("tiny-gpt2", () => {
      const text = "Once upon a time, there was a little dog called Max. He liked to";
      let model: Model;
      let ids: number[];
      let logits: Float64Array;
      beforeAll(async () => {
        model = await openModel(readConfig(join(packageRoot, "examples/tiny-gpt2/model.toml")), () => {});
        ids = textTokenizer(model.tokenizer!).encode(text);
        logits = Float64Array.from(referenceLogits(model.graph, model.weights, ids));
      });
      afterAll(() => model?.weights.close());

      test("has its tokenizer", async () => {
        const found = await opened(await exported(model, null), async (loaded) => loaded.tokenize(text));
        expect(found).toEqual(ids);
      });

      test("with a type of its own for every matrix", async () => {
        const types = ["iq4_nl", "q5_1", "q8_0", "q4_1", "q5_0", "q4_0"] as const;
        const tensors = new Map<string, number>();
        const graph = mapMatrices(model.graph, (matrix) => {
          const index = tensors.get(matrix.tensor) ?? tensors.size;
          tensors.set(matrix.tensor, index);
          // Positions stay as they are stored.
          return /wpe/.test(matrix.tensor) ? matrix : roundedMatrix(matrix, types[index % types.length]!);
        });
        const file = await exported(model, null, graph);
        const found = await opened(file, (_, sequence) =>
          distributions(sequence, ids, model.graph.vocabulary),
        );
        expect(divergence(logits, found)).toBeLessThan(0.05);
      });

      test.each(exportTypes)("in %s", async (type) => {
        const found = await opened(await exported(model, type), (_, sequence) =>
          distributions(sequence, ids, model.graph.vocabulary),
        );
        const bits = {
          f32: 1e-6,
          bf16: 1e-3,
          f16: 1e-4,
          q8_0: 2e-3,
          q6_k: 5e-3,
          q5_k: 0.02,
          q5_1: 0.02,
          q5_0: 0.02,
        };
        expect(divergence(logits, found)).toBeLessThan(bits[type as keyof typeof bits] ?? 0.08);
      });
    });
  },
);
