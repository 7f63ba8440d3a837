/** Helpers of the tests: bundles of small models, and what native programs compute with them. */

import { readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, test } from "vitest";
import { compileFor } from "../cc/index.js";
import { runnableTargets, targetsHere } from "../cc/machine.js";
import { runTool } from "../cc/tool.js";
import type { CpuTarget } from "../config/target.js";
import { readTarget } from "../config/targets.js";
import type { Plan } from "../ir/plan.js";
import type { Mode, ProgramMode } from "../ir/program.js";
import { readGraph } from "../models/index.js";
import type { Model } from "../models/model.js";
import { writeModelBundle } from "../pack/assemble.js";
import { type FactorSource, noFactors } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import type { ConfiguredForm } from "../passes/pass.js";
import { readTensors } from "../read/safetensors-write.js";
import { Weights } from "../read/weights.js";
import { schedule } from "../schedule/program.js";
import { packageRoot } from "../support/paths.js";

export const fixturesFolder = join(packageRoot, "compiler/models/fixtures");

/** Names of all model fixtures that the programs of compiler/models/fixtures wrote, but for those of ONNX. */
export function fixtureNames(): string[] {
  return folderNames().filter((name) => !name.includes("-onnx-"));
}

/** Names of the fixtures of make_onnx.py: their graphs are those of other fixtures, which they are exports of. */
export function onnxFixtureNames(): string[] {
  return folderNames().filter((name) => name.includes("-onnx-"));
}

function folderNames(): string[] {
  return readdirSync(fixturesFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^[a-z]/.test(entry.name))
    .map((entry) => entry.name)
    .filter((name) => readdirSync(join(fixturesFolder, name)).includes("expected.safetensors"))
    .sort();
}

/** Fixtures of make_quantized.py: a few shapes that share kernels, wired as other fixtures are. */
const quantizedFixtures = [
  "gpt2-gptq",
  "llama-fp4",
  "llama-fp8",
  "llama-gptq",
  "llama-nf4",
  "mistral-awq",
  "qwen2-gptq",
  "qwen3-compressed",
];

/** Names of the fixtures that are not of quantised checkpoints. */
export function plainFixtureNames(): string[] {
  return fixtureNames().filter((name) => !quantizedFixtures.includes(name));
}

/** What a fixture's model is read from: its folder, or the .gguf or .onnx file in it. */
export function fixtureSource(name: string): string {
  const folder = join(fixturesFolder, name);
  const file = readdirSync(folder).find((one) => /\.(gguf|onnx)$/.test(one));
  return file === undefined ? folder : join(folder, file);
}

/** A fixture as a model without tokenizer, and the logits that Hugging Face transformers computes with it. */
export async function openFixture(
  name: string,
): Promise<{ model: Model; ids: number[]; logits: Float32Array }> {
  const folder = join(fixturesFolder, name);
  const weights = await Weights.open(fixtureSource(name));
  const graph = readGraph(weights, name);
  const model = {
    weights,
    // An ONNX graph may know texts of any length; a build holds as many positions unless more are asked for.
    graph: { ...graph, context: Math.min(graph.context, 8192) },
    ...noTokenizer,
    fingerprint: weights.fingerprint(),
  };
  const { tensors } = await readTensors(join(folder, "expected.safetensors"));
  return {
    model,
    ids: Array.from(tensors.get("ids")!.data as Int32Array),
    logits: tensors.get("logits")!.data as Float32Array,
  };
}

/** A folder that the test removes. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "gsic-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The CPU targets that this machine runs, best first: what the runtime would choose, so GSIC_CPU narrows them. */
export function testTargets(): Promise<CpuTarget[]> {
  return runnableTargets();
}

/** Counts each CPU target that this machine does not run as a skipped test, with the reason: for suites over targets. */
export async function skipOtherTargets(): Promise<void> {
  for (const { target, problem } of await targetsHere())
    if (problem !== null) test.skip(`all of this on ${target.name}: ${problem}`, () => {});
}

/** Writes a bundle of a model whose linears have a form; returns its path. */
export async function writeTestBundle(
  model: Model,
  options: ConfiguredForm,
  modes: readonly Mode[],
  factors: FactorSource,
  targets?: readonly CpuTarget[],
  holding: BundleContents = {},
): Promise<string> {
  return writePlanBundle(model, makePlan(model.graph, { options }), modes, factors, targets, holding);
}

/** What a bundle of a test holds besides a pass. */
export interface BundleContents {
  /** Whether each linear can be called alone, as in builds; its kernels are compiled for that. Default: false. */
  readonly linears?: boolean;
  /** Whether the head is screened, where it can be. Default: false. */
  readonly screenedHead?: boolean;
}

/** Writes a bundle of a model under a plan; returns its path. */
export async function writePlanBundle(
  model: Model,
  plan: Plan,
  modes: readonly Mode[],
  factors: FactorSource,
  targets?: readonly CpuTarget[],
  holding: BundleContents = {},
): Promise<string> {
  const programs = modes.filter((mode) => mode !== "lossless");
  const scheduled = schedule(plan, programs, readTarget("cpu-portable"), holding);
  const code = [];
  for (const target of targets ?? (await testTargets()))
    code.push(await compileFor(scheduled.kernels, target));
  const path = join(await temporaryFolder(), "model.gsi");
  await writeModelBundle(path, { model, plan, schedule: scheduled, modes, code, factors });
  return path;
}

/** Logits of a bundle by gsic-tool: [tokens, vocabulary]. */
export async function nativeLogits(
  bundle: string,
  ids: readonly number[],
  mode: ProgramMode,
  extra: readonly string[] = [],
): Promise<Float32Array> {
  const folder = await temporaryFolder();
  const file = join(folder, "ids");
  const out = join(folder, "logits.safetensors");
  await writeFile(file, Int32Array.from(ids));
  await runTool(["logits", bundle, "--mode", mode, "--ids-file", file, "--out", out, ...extra]);
  return (await readTensors(out)).tensors.get("logits")!.data as Float32Array;
}

const noTokenizer = {
  tokenizer: null,
  nativeTokenizer: null,
  tokenizerProblem: "fixtures have none",
  chat: null,
};

export const densePlan: ConfiguredForm = { forms: ["dense"], k: [1], epsilon: [1] };

export { noFactors };
