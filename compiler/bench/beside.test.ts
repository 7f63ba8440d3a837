import { afterAll, beforeAll, expect, test } from "vitest";
import { openBuild } from "../build-folder/open.js";
import { buildTiny, type TinyBuild } from "../testing/tiny.js";
import { besideText, measureBeside } from "./beside.js";

let built: TinyBuild;

beforeAll(async () => {
  built = await buildTiny();
});
afterAll(() => built?.remove());

test("beside busy processes, each number of threads writes the same tokens", async () => {
  const options = { repeat: 2, prompt: 4, tokens: 8, threads: 3, users: 2, seconds: 0.1 };
  const measured = await measureBeside(openBuild(built.folder), 2, options);
  expect(measured).toMatchObject({ mode: "exact", threads: 3, users: 2, beside: 2, differing_tokens: 0 });
  expect(measured.fixed.map(({ threads }) => threads)).toEqual([1, 2, 3]);
  expect([1, 2, 3]).toContain(measured.best_fixed_threads);
  for (const { median } of [measured.tokens_per_second, measured.ratio_to_best_fixed])
    expect(median).toBeGreaterThan(0);
  const lines = besideText(measured).split("\n");
  expect(lines).toHaveLength(6);
  expect(lines[0]).toContain("2 requests beside 2 busy processes");
  expect(lines.at(-1)).toMatch(/^\d+\.\d\d x the best fixed number, [123] \(/);
  for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(100);
});
