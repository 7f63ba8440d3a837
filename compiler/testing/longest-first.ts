import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { packageRoot } from "../support/paths.js";

/** The suites that take longest where nothing is compiled yet, the longest first (build/test-durations.json says how long). */
const long = [
  "compiler/cli/cli.test.ts",
  "compiler/emit/gpu/division.test.ts",
  "runtime/runtime.test.ts",
  "examples/bench/first-day.test.ts",
  "compiler/emit/company.test.ts",
  "compiler/emit/gpu/parity.test.ts",
  "compiler/cc/generic.test.ts",
  "compiler/interrupt.test.ts",
  "compiler/search/planner.test.ts",
  "compiler/emit/gpu/attend.test.ts",
  "compiler/emit/linears.test.ts",
  "compiler/emit/gpu/layers.test.ts",
  "compiler/emit/gpu/gate.test.ts",
  "runtime/fuzz.test.ts",
  "compiler/models/parity.test.ts",
  "compiler/report-html/page/page.test.ts",
  "compiler/emit/coded.test.ts",
  "compiler/emit/attend.test.ts",
  "compiler/export/chosen.test.ts",
  "compiler/stages.test.ts",
  "examples/paper/paper.test.ts",
  "compiler/emit/kernels.test.ts",
  "compiler/testing/fuzz/readers.test.ts",
  "compiler/emit/gpu/objects.test.ts",
  "compiler/build-gpu.test.ts",
];

for (const suite of long)
  if (!existsSync(join(packageRoot, suite)))
    throw new Error(`${suite} is not there: correct ${import.meta.url}`);

/** Begins with the long suites and ends with those that share a process, so that no core waits long at the end. */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      if (!project.config.isolate) return long.length + 1;
      const place = long.indexOf(relative(packageRoot, moduleId));
      return place < 0 ? long.length : place;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
