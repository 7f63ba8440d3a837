import { defineConfig } from "vitest/config";

/** Tests stand beside what they test. Native compilation is slow on small machines, hence the long timeouts. */
export default defineConfig({
  test: {
    include: [
      "compiler/**/*.test.ts",
      "templates/**/*.test.ts",
      "runtime/**/*.test.ts",
      "examples/**/*.test.ts",
    ],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: 2,
    reporters: ["default", ["json", { outputFile: "build/test-results.json" }]],
  },
});
