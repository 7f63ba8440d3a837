import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readGraph } from "../models/index.js";
import { readTensors } from "../read/safetensors-write.js";
import { Weights } from "../read/weights.js";
import { erf } from "../support/erf.js";
import { packageRoot } from "../support/paths.js";
import { fixtureSource } from "../testing/fixtures.js";
import { referenceLogits } from "./reference.js";

const fixtures = join(packageRoot, "compiler/models/fixtures");

describe("the oracle agrees with Hugging Face transformers", () => {
  for (const name of readdirSync(fixtures, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && !entry.name.startsWith(".") && !entry.name.startsWith("_"),
  )) {
    test(name.name, async () => {
      const folder = join(fixtures, name.name);
      const expected = await readTensors(join(folder, "expected.safetensors"));
      const weights = await Weights.open(fixtureSource(name.name));
      const graph = readGraph(weights, name.name);
      const logits = referenceLogits(
        graph,
        weights,
        Array.from(expected.tensors.get("ids")!.data as Int32Array),
      );
      const reference = expected.tensors.get("logits")!.data as Float32Array;
      expect(largestDifference(logits, reference)).toBeLessThanOrEqual(2e-6 * largest(reference));
      weights.close();
    });
  }
});

test("erf", () => {
  // Abramowitz and Stegun, table 7.1.
  expect(erf(0.5)).toBeCloseTo(0.5204998778, 10);
  expect(erf(2)).toBeCloseTo(0.995322265, 9);
  expect(erf(2.6)).toBeCloseTo(0.9997639656, 9);
  expect(erf(-1)).toBeCloseTo(-0.8427007929, 10);
  expect(erf(7)).toBe(1);
});

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
