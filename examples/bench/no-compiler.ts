/**
 * node dist/examples/bench/no-compiler.js SOURCE... [--targets cpu-avx512,cpu-avx2] [--rounds 9] [--tokens 48] [--threads N]:
 * how many times as fast a model's own kernels are as those for all shapes, which builds have where no compiler is found.
 * SOURCE is a folder of safetensors or a GGUF file. Each gets two bundles for each target, whose logits are compared bit by bit, and both run in one process by turns: every measurement of the kernels for all shapes stands between two
 * of the own. no-compiler.md has the figures.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { compileGeneric, fillTable } from "../../compiler/cc/generic.js";
import { compileFor } from "../../compiler/cc/index.js";
import { type CpuTarget, isCpu } from "../../compiler/config/target.js";
import { readTarget } from "../../compiler/config/targets.js";
import { load, type Model } from "../../compiler/load.js";
import { readGraph } from "../../compiler/models/index.js";
import { writeModelBundle } from "../../compiler/pack/assemble.js";
import { noFactors } from "../../compiler/pack/weights.js";
import { makePlan } from "../../compiler/passes/index.js";
import { Weights } from "../../compiler/read/weights.js";
import { schedule } from "../../compiler/schedule/program.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    targets: { type: "string", default: "cpu-avx512,cpu-avx2" },
    rounds: { type: "string", default: "9" },
    tokens: { type: "string", default: "48" },
    threads: { type: "string", default: "2" },
  },
});
const [rounds, tokens, threads] = [Number(values.rounds), Number(values.tokens), Number(values.threads)];
const prompt = 16;
const work = mkdtempSync(join(tmpdir(), "gsic-no-compiler-"));

/** Writes a bundle of a source in exact mode with its own kernels, and one with those for all shapes. */
async function bundles(source: string, target: CpuTarget, name: string): Promise<[own: string, all: string]> {
  const weights = await Weights.open(source);
  const graph = { ...readGraph(weights, "model"), context: 1024 };
  const text = { tokenizer: null, nativeTokenizer: null, tokenizerProblem: "it has none", chat: null };
  const model = { weights, graph, ...text, fingerprint: weights.fingerprint() };
  const plan = makePlan(graph, { options: { forms: ["dense"], k: [1], epsilon: [1] } });
  const scheduled = schedule(plan, ["exact"], target, { linears: true });
  const own = await compileFor(scheduled.kernels, target);
  const bytes = fillTable(await readFile(await compileGeneric(target)), scheduled.kernels);
  const all = { kind: "library" as const, target, bytes, specialised: false };
  const paths = ["own", "all"].map((kind) => join(work, `${name}-${kind}.gsi`)) as [string, string];
  for (const [index, code] of [own, all].entries()) {
    const parts = { model, plan, schedule: scheduled, modes: ["exact" as const], code: [code] };
    await writeModelBundle(paths[index]!, { ...parts, factors: noFactors });
  }
  weights.close();
  return paths;
}

/** Milliseconds of a pass over so many tokens, the mean of `count` behind a prompt. */
async function passMs(model: Model, columns: number, count: number): Promise<number> {
  const session = await model.session();
  const ids = (length: number, first: number) =>
    Int32Array.from({ length }, (_, i) => (7 + 7919 * (first + i)) % model.info.vocabulary);
  await session.evaluate(ids(prompt, 0));
  const begun = performance.now();
  for (let i = 0; i < count; i++) await session.evaluate(ids(columns, prompt + i * columns));
  const taken = (performance.now() - begun) / count;
  session.dispose();
  return taken;
}

/** The median of some numbers, the least and the most, as text. */
function spread(numbers: readonly number[]): string {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [least, most, median] = [sorted[0]!, sorted.at(-1)!, sorted[sorted.length >> 1]!];
  return `${median.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
}

/** The time of kernels for all shapes as a ratio to the mean of the two measurements of the own around it. */
async function ratios(own: Model, generic: Model, columns: number, count: number): Promise<string> {
  const found: number[] = [];
  let before = await passMs(own, columns, count);
  for (let round = 0; round < rounds; round++) {
    const between = await passMs(generic, columns, count);
    const after = await passMs(own, columns, count);
    found.push(between / ((before + after) / 2));
    before = after;
  }
  return spread(found);
}

async function sameLogits(own: Model, generic: Model): Promise<void> {
  const ids = Int32Array.from({ length: prompt }, (_, i) => (7 + 7919 * i) % own.info.vocabulary);
  const [a, b] = await Promise.all(
    [own, generic].map(async (model) => (await model.session()).evaluate(ids, prompt)),
  );
  if (!Buffer.from(a!.buffer).equals(Buffer.from(b!.buffer))) throw new Error("the logits are not the same");
}

try {
  const targets = values.targets.split(",").map(readTarget).filter(isCpu);
  console.log("| weights | target | decoding | a pass of 16 tokens | load before |");
  console.log("| --- | --- | --- | --- | --- |");
  for (const [index, source] of positionals.entries())
    for (const target of targets) {
      const both = await bundles(source, target, `${index}-${target.name}`);
      const models = await Promise.all(both.map((one) => load(one, { target: target.name, threads })));
      const [own, generic] = models as [Model, Model];
      await sameLogits(own, generic);
      const busy = loadavg()[0]!.toFixed(1);
      const figures = [
        await ratios(own, generic, 1, tokens),
        await ratios(own, generic, prompt, Math.ceil(tokens / 8)),
      ];
      console.log(`| ${[basename(source), target.name, ...figures, busy].join(" | ")} |`);
      for (const model of models) model.dispose();
    }
} finally {
  rmSync(work, { recursive: true, force: true });
}
