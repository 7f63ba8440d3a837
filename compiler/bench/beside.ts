import type { Built } from "../build-folder/open.js";
import { type ProgressListener, runTool } from "../cc/tool.js";
import type { Mode } from "../ir/program.js";
import type { Spread } from "../report/measurements.js";
import type { BenchOptions } from "./modes.js";

/** What `gsic-tool beside` prints: requests beside processes that keep CPUs busy. */
interface BesideMeasured {
  readonly target: string;
  readonly mode: Mode;
  /** Most threads. */
  readonly threads: number;
  /** Requests that share passes. */
  readonly users: number;
  /** Busy processes. */
  readonly beside: number;
  /** With as many threads as are found to be fastest, as gsic runs; of all users. */
  readonly tokens_per_second: Spread;
  /** How often numbers of threads were compared. */
  readonly trials: number;
  /** The same with so many threads all the time. */
  readonly fixed: readonly { readonly threads: number; readonly tokens_per_second: Spread }[];
  readonly best_fixed_threads: number;
  /** Of the same repetition. */
  readonly ratio_to_best_fixed: Spread;
  /** Greedy tokens that depend on the number of threads: none. */
  readonly differing_tokens: number;
}

/** How `gsic bench --beside` measures. */
interface BesideOptions extends BenchOptions {
  readonly mode?: Mode | undefined;
  /** Requests that share passes; default 1. */
  readonly users?: number;
  /** Of each measurement; default 2. */
  readonly seconds?: number;
}

/** Measures requests beside so many processes that keep CPUs busy, by turns with each fixed number of threads. */
export async function measureBeside(
  built: Built,
  beside: number,
  { repeat, prompt, threads, mode, users = 1, seconds = 2 }: BesideOptions,
  progress?: ProgressListener,
): Promise<BesideMeasured> {
  const settings = ["--beside", String(beside), "--repeat", String(repeat), "--prompt", String(prompt)];
  settings.push("--users", String(users), "--seconds", String(seconds));
  if (threads !== undefined) settings.push("--threads", String(threads));
  if (mode !== undefined) settings.push("--mode", mode);
  return JSON.parse(await runTool(["beside", built.bundle, ...settings], progress)) as BesideMeasured;
}

/** The measurements for a terminal. */
export function besideText(measured: BesideMeasured): string {
  const {
    target,
    mode,
    users,
    beside,
    fixed,
    best_fixed_threads: best,
    ratio_to_best_fixed: ratio,
  } = measured;
  const rate = (threads: string, { median, least, most }: Spread) =>
    `${threads.padEnd(24)}${median.toFixed(1)} tokens/s (${least.toFixed(1)}-${most.toFixed(1)})`;
  const who = users === 1 ? "a request" : `${users} requests`;
  return [
    `${who} beside ${beside} busy processes, ${mode} mode on ${target}; medians, and spread`,
    `${rate(`up to ${measured.threads} threads`, measured.tokens_per_second)}; compared ${measured.trials} times`,
    ...fixed.map((one) => rate(`always ${one.threads}`, one.tokens_per_second)),
    `${ratio.median.toFixed(2)} x the best fixed number, ${best} (${ratio.least.toFixed(2)}-${ratio.most.toFixed(2)})`,
  ].join("\n");
}
