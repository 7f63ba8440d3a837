import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Reporter, TestModule } from "vitest/node";

/** What a test file took, in seconds of the clock. */
export interface FileDuration {
  readonly file: string;
  readonly seconds: number;
}

/**
 * A reporter of vitest that writes what every file took as JSON, the slowest first. Hooks and imports count, which
 * vitest's own JSON leaves out, though native code is compiled in them.
 */
export function durationsTo(outputFile: string): Reporter {
  return {
    onTestRunEnd(modules) {
      mkdirSync(dirname(outputFile), { recursive: true });
      const files = modules.map(durationOf).sort((a, b) => b.seconds - a.seconds);
      writeFileSync(outputFile, `${JSON.stringify(files, null, 2)}\n`);
    },
  };
}

function durationOf(module: TestModule): FileDuration {
  const { collectDuration, duration } = module.diagnostic();
  return { file: module.relativeModuleId, seconds: Math.round(collectDuration + duration) / 1000 };
}
