/** The command that measures models of true size (examples/bench/true_size.py), on a model that is small. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../../compiler/support/paths.js";
import { CommandLine, filesBelow, start } from "../../compiler/testing/cli.js";

const work = mkdtempSync(join(tmpdir(), "gsic-true-size-"));
let gsic: CommandLine;

beforeAll(() => {
  gsic = new CommandLine();
});

afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

test("true_size.py builds a shape, kills a build of it and lets it go on, runs it, and clears up", async () => {
  const script = join(packageRoot, "examples/bench/true_size.py");
  const file = join(work, "figures.json");
  const folders = ["--work", work, "--json", file];
  const options = ["--targets", "cpu", "--repeat", "1", "--gsic", gsic.command];
  const { code, stdout, stderr } = await start("python3", [script, "tiny-gptj", ...folders, ...options])
    .outcome;
  expect(code, stderr).toBe(0);
  expect(stdout).toContain("| tiny-gptj | for cpu |");
  const figures = JSON.parse(readFileSync(file, "utf8"));
  expect(figures.builds.cpu.layers_checked).toEqual({ compared: 2, of: 2 });
  expect(figures.builds.cpu.error).toBeLessThan(1e-5);
  expect(figures.builds.cpu.disk_bytes).toBeGreaterThanOrEqual(figures.builds.cpu.bundle_bytes);
  expect(figures.kills.same_bytes).toBe(true);
  expect(figures.run.copied_bytes).toBe(0);
  expect(figures.bench.modes.exact.share_of_ceiling).toBeGreaterThan(0);
  expect(filesBelow(join(work, "tiny-gptj")).filter((name) => !name.startsWith("model"))).toEqual([]);
}, 900_000);
