import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../support/paths.js";
import { specialisingGains, specialisingText } from "./specialising.js";

test("what a build without a compiler says is what was measured", () => {
  const page = readFileSync(join(packageRoot, "examples/bench/no-compiler.md"), "utf8");
  const row = /^\| (\S+) \| (cpu-\S+) \| ([\d.]+) \(.*\) \| ([\d.]+) \(/gm;
  const measured = [...page.matchAll(row)].map(([, weights, target, decoding, prompt]) => ({
    weights,
    target,
    decoding: Number(decoding),
    prompt: Number(prompt),
  }));
  expect(measured).toEqual(specialisingGains);
  const least = Math.min(...specialisingGains.map(({ decoding }) => decoding)).toFixed(2);
  expect(specialisingText()).toContain(`on SmolLM2, ${least}`);
});
