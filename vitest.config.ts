import { defineConfig } from "vitest/config";
import { durationsTo } from "./compiler/testing/durations.js";

/** What a test or a hook may take at most, in milliseconds: for what hangs, not for what is slow. */
const hang = 45 * 60_000;

/** Tests stand beside what they test. */
export default defineConfig({
  test: {
    include: [
      "compiler/**/*.test.ts",
      "templates/**/*.test.ts",
      "runtime/**/*.test.ts",
      "examples/**/*.test.ts",
    ],
    globalSetup: ["compiler/testing/prepare.ts"],
    testTimeout: hang,
    hookTimeout: hang,
    maxWorkers: 2,
    reporters: [
      "default",
      ["json", { outputFile: "build/test-results.json" }],
      durationsTo("build/test-durations.json"),
    ],
  },
});
