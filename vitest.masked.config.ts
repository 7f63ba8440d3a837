import { existsSync } from "node:fs";
import { defineConfig } from "vitest/config";
import { durationsTo } from "./compiler/testing/durations.js";
import { settings } from "./vitest.config.js";

/**
 * The suites that run kernels of this machine's CPU, for `npm run test:masked`, which runs them again as a machine
 * without the instruction sets that GSIC_CPU hides. Kernels for GPUs are not among them: the lanes that run them are
 * ordinary C++.
 */
const suites = [
  "compiler/cc/generic.test.ts",
  "compiler/cc/machine.test.ts",
  "compiler/emit/attend.test.ts",
  "compiler/emit/coded.test.ts",
  "compiler/emit/gated.test.ts",
  "compiler/emit/kernels.test.ts",
  "compiler/emit/quantized.test.ts",
  "compiler/emit/tiers.test.ts",
  "compiler/models/parity.test.ts",
  "compiler/calibrate/calibrate.test.ts",
  "compiler/calibrate/factors.test.ts",
  "compiler/evaluate/evaluate.test.ts",
  "compiler/check/factors.test.ts",
  "compiler/check/layers.test.ts",
  "compiler/bench/faster.test.ts",
  "compiler/load.test.ts",
  "compiler/load-lifetime.test.ts",
];

for (const suite of suites)
  if (!existsSync(suite)) throw new Error(`${suite} is not there: correct ${import.meta.url}`);

export default defineConfig({
  test: {
    ...settings,
    include: suites,
    globalSetup: ["compiler/testing/prepare.ts"],
    reporters: [
      "default",
      ["json", { outputFile: `build/test-results-${process.env.GSIC_CPU}.json` }],
      durationsTo(`build/test-durations-${process.env.GSIC_CPU}.json`),
    ],
  },
});
