import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildRuntime } from "../../cc/index.js";
import { exitCodes, GsicError } from "../../support/errors.js";
import { packageRoot } from "../../support/paths.js";
import { artefactCases } from "./artefact.js";
import { type BadCase, Scratch } from "./case.js";
import { configurationCases } from "./configuration.js";
import { containerCases } from "./container.js";
import { elsewhere } from "./elsewhere.js";
import { headerCases } from "./header.js";
import { badInputs } from "./list.js";
import { modelCases } from "./model.js";
import { tensorCases } from "./tensors.js";

const parent = mkdtempSync(join(tmpdir(), "gsic-bad-"));
// Compiling it takes longer than a test should.
beforeAll(async () => {
  await buildRuntime("tool");
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

const tables = {
  "container, 1 to 12": containerCases,
  "header, 13 to 26": headerCases,
  "tensors, 27 to 36": tensorCases,
  "model, 37 to 47": modelCases,
  "calibration and configuration, 48 to 58": configurationCases,
  "artefact, 59 to 61": artefactCases,
};
const cases: readonly BadCase[] = Object.values(tables).flat();

describe.each(Object.entries(tables))("%s", (_, table) => {
  const titled = table.map((one): [string, BadCase] => [
    `${one.number} ${badInputs[one.number - 1]}: ${one.what}`,
    one,
  ]);
  test.each(titled)("%s", async (_, { act, code, where, category = "data", says = [] }) => {
    const scratch = new Scratch(parent);
    const error = await Promise.resolve()
      .then(() => act(scratch))
      .then(
        () => "it was accepted",
        (thrown: unknown) => thrown,
      );
    if (!(error instanceof GsicError)) throw error instanceof Error ? error : new Error(String(error));
    expect(`${error.code}, ${error.message}`).toMatch(new RegExp(`^${code}, `));
    expect(error.exitCode).toBe(exitCodes[category]);
    expect(error.where?.replaceAll(scratch.folder, "@")).toBe(where);
    expect(error.hint).toBeTruthy();
    for (const part of says) expect(`${error.message}; ${error.hint}`).toContain(part);
    expect(
      readdirSync(scratch.folder).filter((name) => /staging|lock|partial|tmp|previous/.test(name)),
    ).toEqual([]);
  });
});

describe("the list of 66", () => {
  test("is complete: every number has a case here, or a test elsewhere", () => {
    expect(badInputs).toHaveLength(66);
    expect(new Set(badInputs).size).toBe(66);
    const covered = new Set([...cases, ...elsewhere].map(({ number }) => number));
    const missing = badInputs.flatMap((what, at) => (covered.has(at + 1) ? [] : [`${at + 1} ${what}`]));
    expect(missing).toEqual([]);
    expect(covered.size).toBe(66);
  });

  test.each(elsewhere.map((one) => [`${one.number}: ${one.file}: ${one.title}`, one] as const))(
    "names tests that are there, %s",
    (_, { file, title }) => {
      expect(readFileSync(join(packageRoot, file), "utf8")).toContain(title);
    },
  );
});
