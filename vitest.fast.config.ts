import { defineConfig } from "vitest/config";
import everything from "./vitest.config.js";

/**
 * `npm run test:fast`: suites that need no C++ compiler, no browser and no build, in under a minute: readers, families,
 * passes, lowering, layouts, texts, and the documents.
 */
export default defineConfig({
  test: {
    ...everything.test,
    include: [
      "compiler/{config,diff,graph-text,inspect,ir,layout,lower,models,oracle,passes,pack,read,schedule,support}/**/*.test.ts",
      "compiler/search/{gates,knapsack,objective,rounding,report}.test.ts",
      "compiler/evaluate/{account,bootstrap}.test.ts",
      "compiler/emit/**/golden.test.ts",
      "compiler/map.test.ts",
      "compiler/testing/{lint,exports}.test.ts",
      "examples/links.test.ts",
      "templates/**/*.test.ts",
    ],
    exclude: [
      "compiler/diff/diff.test.ts",
      "compiler/inspect/onnx.test.ts",
      "compiler/models/parity.test.ts",
      "compiler/read/tokenizer-native.test.ts",
    ],
    globalSetup: [],
    reporters: ["default"],
  },
});
