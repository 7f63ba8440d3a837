import { defineConfig } from "vitest/config";
import { fastSuites, settings } from "./vitest.config.js";

/** `npm run test:fast`, in under a minute; without a compiler, whatever the machine has. */
export default defineConfig({
  test: {
    ...settings,
    include: [...fastSuites, "compiler/inspect/machine-code/*.test.ts"],
    isolate: false,
    reporters: ["default"],
  },
});
