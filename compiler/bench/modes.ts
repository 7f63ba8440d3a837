import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Built } from "../build-folder/open.js";
import { asWindows, heldoutParts } from "../calibrate/text.js";
import { type ProgressListener, runTool } from "../cc/tool.js";
import type { Config } from "../config/config.js";
import type { Graph } from "../ir/graph.js";
import { type Model, openModel } from "../models/model.js";
import { textTokenizer } from "../read/tokenizer.js";
import type { Measurements, Spread } from "../report/measurements.js";
import { temporaryFolder } from "../support/temporary.js";

/** How `gsic bench` measures. */
export interface BenchOptions {
  /** Tokens written behind each prompt, at most. */
  readonly tokens: number;
  /** Prompts, each measured in every mode. */
  readonly repeat: number;
  /** Tokens of a prompt. */
  readonly prompt: number;
  readonly threads?: number | undefined;
}

/**
 * Measures every mode of a build from the same prompts. They come from the half of its held-out text that nothing was
 * chosen by, where the build has one and its tokenizer reads it; else they are fixed ids.
 */
export async function measureModes(
  built: Built,
  options: BenchOptions,
): Promise<{ measured: Measurements; prompts: "held-out text" | "fixed ids" }> {
  const ids = await promptsOf(built, options.repeat, options.prompt);
  const { plan } = await built.plan;
  const multiply_adds_per_prefill_token = multiplyAdds(plan.graph);
  const measured = { ...(await measureFrom(ids, built, options)), multiply_adds_per_prefill_token };
  return { measured, prompts: ids === null ? "fixed ids" : "held-out text" };
}

/** Multiply-adds of a token by the weights of all linears but the head. */
function multiplyAdds({ nodes, output }: Graph): number {
  return nodes.reduce(
    (sum, node) =>
      node.kind === "linear" && node.id !== output ? sum + node.weight.out * node.weight.d : sum,
    0,
  );
}

/** What gsic-tool prints of all modes, from prompts that were read before; null: from fixed ids. */
async function measureFrom(
  ids: Int32Array | null,
  built: Built,
  options: BenchOptions,
): Promise<Omit<Measurements, "multiply_adds_per_prefill_token">> {
  return JSON.parse(await runFromPrompts("bench", ids, built, options));
}

/** What a subcommand of gsic-tool prints that writes behind prompts; null: behind fixed ids. */
export async function runFromPrompts(
  subcommand: "bench" | "step",
  ids: Int32Array | null,
  { bundle }: Pick<Built, "bundle">,
  { tokens, repeat, prompt, threads }: BenchOptions,
  progress?: ProgressListener,
): Promise<string> {
  const settings = ["--tokens", String(tokens), "--repeat", String(repeat), "--prompt", String(prompt)];
  if (threads !== undefined) settings.push("--threads", String(threads));
  const folder = await temporaryFolder("bench");
  try {
    const file = join(folder, "ids");
    if (ids !== null) {
      await writeFile(file, ids);
      settings.push("--ids-file", file);
    }
    return await runTool([subcommand, bundle, ...settings], progress);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Decoding by the number of threads, each a run of its own. */
export interface Scaling {
  readonly threads: number;
  /** Tokens a second by mode; null where every text ended at once. */
  readonly decode_tokens_per_second: Readonly<Record<string, Spread | null>>;
}

/** Measures every mode with 1, 2, 4, ... threads, below those of `whole`, which stands last. CPUs only. */
export async function measureScaling(
  built: Built,
  options: BenchOptions,
  whole: Measurements,
): Promise<Scaling[]> {
  const ids = await promptsOf(built, options.repeat, options.prompt);
  const found: Scaling[] = [];
  for (let threads = 1; threads < whole.threads; threads *= 2)
    found.push(scalingOf(await measureFrom(ids, built, { ...options, threads })));
  return [...found, scalingOf(whole)];
}

function scalingOf({ threads, modes }: Pick<Measurements, "threads" | "modes">): Scaling {
  const rates = Object.entries(modes).map(([mode, one]) => [mode, one.decode_tokens_per_second]);
  return { threads, decode_tokens_per_second: Object.fromEntries(rates) };
}

/** Prompts of a build's held-out text, as `measureModes` says; null where it has none. */
export async function promptsOf(built: Built, count: number, length: number): Promise<Int32Array | null> {
  if (built.report.text_unavailable !== null) return null;
  const config = built.config;
  if (config.heldout.text.length === 0) return null;
  const model = await openModel(config, () => {});
  try {
    return heldoutPrompts(config, model, count, length);
  } finally {
    model.weights.close();
  }
}

/**
 * `count` prompts of `length` tokens, one after the other, from places spread over the half of the held-out text that
 * nothing was chosen by; null where there is no text that a tokenizer reads. Each begins as a text does.
 */
function heldoutPrompts(config: Config, model: Model, count: number, length: number): Int32Array | null {
  if (config.heldout.text.length === 0 || model.tokenizer === null) return null;
  const { text, tokens } = config.heldout;
  const { quoted } = heldoutParts(text, textTokenizer(model.tokenizer), tokens);
  const { prefix } = model.tokenizer;
  const body = length - prefix.length;
  if (body < 1 || quoted.length < body) return null;
  const places = Array.from({ length: count }, (_, index) =>
    Math.floor((index * (quoted.length - body)) / Math.max(1, count - 1)),
  );
  const picked = Int32Array.from(places.flatMap((place) => [...quoted.subarray(place, place + body)]));
  return asWindows(picked, prefix, length);
}
