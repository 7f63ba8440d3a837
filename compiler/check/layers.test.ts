import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileFor } from "../cc/index.js";
import type { ProgramMode } from "../ir/program.js";
import { violations } from "../ir/verify.js";
import { writeModelBundle } from "../pack/assemble.js";
import { makePlan } from "../passes/index.js";
import { schedule } from "../schedule/program.js";
import { silent } from "../support/progress.js";
import {
  densePlan,
  fixtureNames,
  noFactors,
  openFixture,
  temporaryFolder,
  testTargets,
} from "../testing/fixtures.js";
import { selfCheck } from "./check.js";
import { firstLayers, layersOf } from "./layers.js";

test.each(fixtureNames())("the first layer of %s is a model", async (name) => {
  const { model } = await openFixture(name);
  try {
    const plan = makePlan(model.graph, { options: densePlan });
    const part = firstLayers(plan, 1)!;
    expect(violations(part.graph)).toEqual([]);
    expect(layersOf(part.graph)).toBe(1);
    expect(part.linears.size < plan.linears.size).toBe(layersOf(model.graph) > 1);
    expect(new Set(part.groups.flatMap(({ linears }) => linears))).toEqual(new Set(part.linears.keys()));
    expect(firstLayers(plan, layersOf(model.graph))).toEqual(plan);
    expect(firstLayers(plan, 0)).toBe(null);
  } finally {
    model.weights.close();
  }
});

/** A finished bundle of a fixture, as a self-check sees it. */
async function finished(name: string) {
  const { model } = await openFixture(name);
  const plan = makePlan(model.graph, { options: densePlan });
  const target = (await testTargets()).at(-1)!;
  const modes: readonly ProgramMode[] = ["exact"];
  const scheduled = schedule(plan, modes, target);
  const code = [await compileFor(scheduled.kernels, target)];
  const bundle = join(await temporaryFolder(), "model.gsi");
  const content = { model, plan, schedule: scheduled, modes, code, factors: noFactors };
  const weightsBegin = await writeModelBundle(bundle, content);
  const shaped = { targets: [target], shapedBy: target, scheduled, progress: silent };
  return { bundle, weightsBegin, model, plan, factors: noFactors, modes, ...shaped, most: 0 };
}

describe("a model that is too large for the oracle", () => {
  test.each(["gptj-f32", "gpt2-f32"])("is compared by its first layers and some tiles: %s", async (name) => {
    const options = await finished(name);
    try {
      const check = await selfCheck(options);
      expect(check.layers).toEqual({ compared: 1, of: layersOf(options.plan.graph) });
      expect(check.kernels_not_compared).toEqual([]);
      expect(check.tiles_compared).toBeGreaterThan(options.plan.linears.size);
      expect(check.exactError).toBeLessThan(1e-5);
    } finally {
      options.model.weights.close();
    }
  });

  test("is refused for a wrong byte of a later layer's first run of rows", async () => {
    const options = await finished("gpt2-f32");
    try {
      const { items } = options.scheduled.weights;
      const last = items.findLast(({ content }) => content.kind === "matrix")!;
      const file = await open(options.bundle, "r+");
      const byte = new Uint8Array(1);
      await file.read(byte, 0, 1, options.weightsBegin + last.offset + 2);
      byte[0]! ^= 0x40;
      await file.write(byte, 0, 1, options.weightsBegin + last.offset + 2);
      await file.close();
      await expect(selfCheck(options)).rejects.toThrow(/run 0 of .* is not what is stored/);
    } finally {
      options.model.weights.close();
    }
  });
});
