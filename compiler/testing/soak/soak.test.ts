/** A soak of a quarter of a minute; `npm run soak` is the long one. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { CommandLine } from "../cli.js";
import { buildTiny, type TinyBuild } from "../tiny.js";
import { type SoakReport, soak } from "./soak.js";
import { soakTemplate, verdict } from "./verdict.js";

let gsic: CommandLine;
let built: TinyBuild;

beforeAll(async () => {
  gsic = new CommandLine();
  built = await buildTiny({ chat: soakTemplate });
});

afterAll(() => {
  built?.remove();
});

test("clients of every kind get the texts that are generated alone; memory and descriptors stay", async () => {
  const program = gsic.compiled("compiler/main.js");
  const seconds = Math.min(60, 60 * Number(process.env.GSIC_SOAK_MINUTES ?? 0.25));
  const report = await soak({ build: built.folder, program, seconds, clients: 4, seed: 1 });
  expect(verdict(report), JSON.stringify(report)).toEqual([]);
});

test("what a soak must complain of, it complains of", () => {
  const sample = { at: 1, memory: 100, descriptors: 20 };
  const counts = { requests: 9, texts: 5, cancelled: 1, slow: 1, refused: 1, busy: 0, closed: 0, wrong: [] };
  const good: SoakReport = {
    seconds: 9,
    counts,
    idle: { start: sample, end: sample },
    peaks: [100, 100],
    course: [100],
    exitCode: 0,
    troubles: [],
  };
  expect(verdict(good)).toEqual([]);
  const bad: readonly Partial<SoakReport>[] = [
    { counts: { ...counts, wrong: ["x"] } },
    { counts: { ...counts, texts: 0 } },
    { counts: { ...counts, closed: 1 } },
    { idle: { start: sample, end: { ...sample, descriptors: 21 } } },
    { idle: { start: sample, end: { ...sample, memory: 200 } } },
    { peaks: [100, 200] },
    { exitCode: 1 },
    { exitCode: null },
    { troubles: ["{}"] },
  ];
  for (const one of bad) expect(verdict({ ...good, ...one }), JSON.stringify(one)).toHaveLength(1);
});
