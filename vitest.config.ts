import { defineConfig } from "vitest/config";
import { durationsTo } from "./compiler/testing/durations.js";
import LongestFirst from "./compiler/testing/longest-first.js";

/** What a test or a hook may take at most, in milliseconds: for what hangs, not for what is slow. */
const hang = 45 * 60_000;

/** What suites of every kind have in common. */
export const settings = {
  testTimeout: hang,
  hookTimeout: hang,
  maxWorkers: 2,
  setupFiles: ["compiler/testing/equal-arrays.ts"],
};

/**
 * Suites that need no C++ compiler, no browser and no build: readers, families, passes, lowering, layouts, texts, and the
 * documents.
 */
export const fastSuites = [
  "compiler/{config,graph-text,ir,layout,lower,oracle,pack,passes,schedule,support}/**/*.test.ts",
  "compiler/inspect/!(onnx).test.ts",
  "compiler/models/!(parity).test.ts",
  "compiler/models/onnx/*.test.ts",
  "compiler/read/!(tokenizer-native).test.ts",
  "compiler/search/{gates,knapsack,objective,rounding,report}.test.ts",
  "compiler/evaluate/{account,bootstrap}.test.ts",
  "compiler/emit/**/golden.test.ts",
  "compiler/map.test.ts",
  "compiler/testing/{equal-arrays,exports,lint}.test.ts",
  "examples/links.test.ts",
  "templates/**/*.test.ts",
];

/** Where tests stand: beside what they test. */
const everywhere = ["compiler", "templates", "runtime", "examples"].map((folder) => `${folder}/**/*.test.ts`);

/** Fast suites share processes, which start and read the sources once; each of the others has its own. */
export default defineConfig({
  test: {
    ...settings,
    sequence: { sequencer: LongestFirst },
    reporters: [
      "default",
      ["json", { outputFile: "build/test-results.json" }],
      durationsTo("build/test-durations.json"),
    ],
    projects: [
      {
        extends: true,
        test: { name: "fast", include: fastSuites, isolate: false },
      },
      {
        extends: true,
        test: {
          name: "native",
          include: everywhere,
          exclude: ["**/node_modules/**", ...fastSuites],
          globalSetup: ["compiler/testing/prepare.ts"],
        },
      },
    ],
  },
});
