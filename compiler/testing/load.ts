/** Helpers of the tests of load.ts: a bundle of tiny-gpt2, and what becomes of it. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { compileFor } from "../cc/index.js";
import { readConfig } from "../config/config.js";
import { readTarget } from "../config/targets.js";
import type { Token } from "../load.js";
import { openModel } from "../models/model.js";
import { writeModelBundle } from "../pack/assemble.js";
import { makePlan } from "../passes/index.js";
import { schedule } from "../schedule/program.js";
import { packageRoot } from "../support/paths.js";
import { densePlan, noFactors, testTargets } from "./fixtures.js";

export const folder = mkdtempSync(join(tmpdir(), "gsic-load-"));
export const bundle = join(folder, "model.gsi");
export const prompt = "Once upon a time";

/** Writes `bundle`, with a tokenizer, and every linear dense. */
export async function makeBundle(): Promise<void> {
  const config = readConfig(join(packageRoot, "examples/tiny-gpt2/model.toml"));
  const source = await openModel(config, () => {});
  const plan = makePlan(source.graph, { options: densePlan });
  const scheduled = schedule(plan, ["bounded", "exact"], readTarget("cpu-portable"), { screenedHead: true });
  const code = [];
  for (const target of await testTargets()) code.push(await compileFor(scheduled.kernels, target));
  const content = { model: source, plan, schedule: scheduled, code, factors: noFactors };
  await writeModelBundle(bundle, { ...content, modes: ["bounded", "exact"] });
  source.weights.close();
}

export function removeBundle(): void {
  rmSync(folder, { recursive: true, force: true });
}

/** `count` ids that are in the vocabulary. */
export const sequence = (count: number): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => (i * 37) % 2000);

/** All tokens of a stream. */
export async function collect(stream: AsyncIterable<Token>): Promise<{ ids: number[]; text: string }> {
  const tokens: Token[] = [];
  for await (const token of stream) tokens.push(token);
  return { ids: tokens.map(({ id }) => id), text: tokens.map(({ text }) => text).join("") };
}

/** How often this process has mapped the bundle: once per model that is not freed. */
export const mappings = (): number => readFileSync("/proc/self/maps", "utf8").split(`${bundle}\n`).length - 1;

/** Waits, 10 s at most. */
export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}
