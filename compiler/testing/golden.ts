/** Emitted kernels and other texts as files, so that a change of what makes them is read as a change of theirs. */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Target } from "../config/target.js";
import type { Plan } from "../ir/plan.js";
import { makePlan } from "../passes/index.js";
import type { ConfiguredForm } from "../passes/pass.js";
import { schedule } from "../schedule/program.js";
import { openFixture } from "./fixtures.js";

/**
 * Compares chosen kernels, by fixture, with the files of `folder`, as `compareGolden`. `planned` gives forms that no options describe. Returns the templates of the chosen kernels, and those of all.
 */
export async function checkGolden(
  folder: string,
  target: Target,
  options: ConfiguredForm,
  chosen: Readonly<Record<string, readonly string[]>>,
  planned: (plan: Plan) => Plan = (plan) => plan,
): Promise<{ readonly shown: readonly string[]; readonly all: readonly string[] }> {
  const found = new Map<string, string>();
  const [shown, all] = [new Set<string>(), new Set<string>()];
  for (const [fixture, symbols] of Object.entries(chosen)) {
    const { model } = await openFixture(fixture);
    model.weights.close();
    const plan = planned(makePlan(model.graph, { options }));
    const { kernels } = schedule(plan, ["bounded", "exact"], target);
    for (const { template } of kernels) all.add(template);
    for (const symbol of symbols) {
      const kernel = kernels.find((candidate) => candidate.symbol === symbol);
      expect(kernel, `${symbol} among ${kernels.map((one) => one.symbol).join(", ")}`).toBeDefined();
      found.set(`${fixture}.${symbol}.cpp`, kernel!.source);
      shown.add(kernel!.template);
    }
  }
  compareGolden(folder, found);
  return { shown: [...shown].sort(), all: [...all].sort() };
}

/** Compares texts, by file, with all files of `folder`; with GSIC_UPDATE_GOLDEN=1 in the environment these are written first. */
export function compareGolden(folder: string, found: ReadonlyMap<string, string>): void {
  if (process.env.GSIC_UPDATE_GOLDEN === "1") {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [file, text] of found) writeFileSync(join(folder, file), text);
  }
  expect(readdirSync(folder).sort()).toEqual([...found.keys()].sort());
  for (const [file, text] of found) expect(text, file).toBe(readFileSync(join(folder, file), "utf8"));
}
