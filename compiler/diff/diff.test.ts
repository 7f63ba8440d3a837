import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build } from "../build.js";
import { openBuild } from "../build-folder/open.js";
import { kindOf } from "../ir/forms.js";
import type { Report } from "../report/report.js";
import { silent } from "../support/progress.js";
import { fixturesFolder } from "../testing/fixtures.js";
import { type BuildDiff, diffBuilds, type Pair } from "./diff.js";
import { diffText } from "./text.js";

const work = mkdtempSync(join(tmpdir(), "gsic-diff-"));

/** Builds a fixture; returns the folder. */
async function built(name: string, fixture: string, settings: string): Promise<string> {
  const toml = join(work, `${name}.toml`);
  const source = join(fixturesFolder, fixture);
  writeFileSync(toml, `[model]\nname = "small"\nsource = "${source}"\n${settings}`);
  await build({ input: toml, out: join(work, name), targets: ["cpu-portable"], progress: silent });
  return join(work, name);
}

let exact: string;
let gated: string;

beforeAll(async () => {
  exact = await built("exact", "llama-bf16", "");
  const plan = '[plan]\nforms = ["gated"]\nk = [16]\nepsilon = [0.1]\n';
  gated = await built(
    "gated",
    "llama-bf16",
    `[calibration]\ntokens = 256\n[quality]\nmode = "bounded"\n${plan}`,
  );
});

afterAll(() => rmSync(work, { recursive: true, force: true }));

const diff = (first: string, second: string) => diffBuilds(openBuild(first), openBuild(second));

/** A copy of a build whose report is changed. */
function copyOf(folder: string, change: (report: Report) => object): string {
  const copy = mkdtempSync(join(work, "copy-"));
  cpSync(folder, copy, { recursive: true });
  const report = JSON.parse(readFileSync(join(copy, "report.json"), "utf8")) as Report;
  writeFileSync(join(copy, "report.json"), JSON.stringify({ ...report, ...change(report) }));
  return copy;
}

test("a build does not differ from its copy", () => {
  const found = diff(
    gated,
    copyOf(gated, () => ({})),
  );
  expect(found).toMatchObject({ same: true, same_model: true, linears: { changed: [] } });
  expect(found.linears.same).toBe(openBuild(gated).report.linears.length);
  expect(diffText(found)).toContain("do not differ");
});

test("forms, bytes and kernels of two plans are compared, and backwards the same way", () => {
  const found = diff(exact, gated);
  const { report } = openBuild(gated);
  const rewritten = report.linears.filter(({ form }) => kindOf(form) === "gated");
  expect(found.same).toBe(false);
  expect(found.same_model).toBe(true);
  expect(found.linears.changed.map(({ linear }) => linear)).toEqual(rewritten.map(({ linear }) => linear));
  for (const { form, bytes } of found.linears.changed) {
    expect(form).toEqual([
      { gate: null, tier: null },
      { gate: { k: 16, epsilon: 0.1 }, tier: null },
    ]);
    expect(bytes[0].fast).toBe(bytes[1].dense);
  }
  expect(found.bytes_per_token.fast).toEqual([report.bytes_per_token.dense, report.bytes_per_token.fast]);
  expect(found.launches_per_token.bounded![0]).toBeNull();
  expect(found.kernels.changed).toEqual([]);
  expect(found.kernels.only_in_second.some((symbol) => symbol.includes("_k16"))).toBe(true);

  const back = diff(gated, exact);
  const swapped = <T>([first, second]: Pair<T>): Pair<T> => [second, first];
  for (const tier of ["dense", "fast", "slow"] as const)
    expect(back.bytes_per_token[tier]).toEqual(swapped(found.bytes_per_token[tier]));
  expect(back.kernels.only_in_first).toEqual(found.kernels.only_in_second);
  expect(back.linears.changed.map(({ form }) => form)).toEqual(
    found.linears.changed.map(({ form }) => swapped(form)),
  );
});

test("the text fits 100 columns, and names layers that changed alike once", () => {
  const lines = diffText(diff(exact, gated)).split("\n");
  for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(100);
  const text = lines.join("\n");
  expect(text).toMatch(/^mode +exact +bounded +other$/m);
  expect(text).toMatch(/^ {2}query, layers 0-\d+: dense -> gated \(k = 16, epsilon = 0\.1\); \d/m);
  expect(text).toMatch(/^Kernels: 0 changed, \d+ the same\.$/m);
});

test("sources, headers, resource facts and quality count, too", () => {
  const kl = { value: 0.01, low: 0.009, high: 0.011 };
  const changed = copyOf(gated, (report) => ({
    kernels: report.kernels.map((kernel, index) =>
      index === 1 ? { ...kernel, resources: { x: {} } } : kernel,
    ),
    evaluation: { heldout: { kl }, bytes_per_token: { plan_mean: 5 } },
  }));
  const { kernels } = openBuild(gated).report;
  appendFileSync(join(changed, "kernels", `${kernels[0]!.symbol}.cpp`), "// changed\n");
  appendFileSync(join(changed, "kernels/include/gsic/math.h"), "// changed\n");
  const found = diff(gated, changed);
  expect(found).toMatchObject({
    same: false,
    kernels: {
      changed: [
        { symbol: kernels[0]!.symbol, source: true, facts: false },
        { symbol: kernels[1]!.symbol, source: false, facts: true },
      ],
      headers: ["gsic/math.h"],
    },
    quality: { heldout_kl: [null, kl], mean_bytes_per_token: [null, 5] },
  } satisfies { [Key in keyof BuildDiff]?: unknown });
  const text = diffText(found);
  expect(text).toMatch(/^KL, held-out +- +0\.0100 \[0\.0090, 0\.0110\]$/m);
  expect(text).toContain(`${kernels[0]!.symbol}: other source`);
});

test("builds of different weights are told", async () => {
  const other = await built("other", "gpt2-f32", "");
  const found = diff(exact, other);
  expect(found.same_model).toBe(false);
  expect(found.linears.only_in_first).not.toEqual([]);
  expect(diffText(found)).toContain("different weights");
});
