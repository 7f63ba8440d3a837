import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTarget } from "../config/targets.js";
import { stepsText } from "../lower/steps-text.js";
import { schedule } from "../schedule/program.js";
import { openFixture, temporaryFolder } from "../testing/fixtures.js";
import { planOf } from "../testing/tiers.js";
import { Dump } from "./dump.js";
import { readPlan } from "./open.js";

const form = { gate: { k: 4, epsilon: 0.25 }, tier: null } as const;

/** A dump of a plan and of its schedule for a target. */
async function dumped(target: string) {
  const { model } = await openFixture("llama-bf16");
  model.weights.close();
  const folder = join(await temporaryFolder(), "new/dump");
  const dump = new Dump(folder, { config: "model.toml", fingerprint: model.fingerprint });
  const plan = planOf(model, form);
  const scheduled = schedule(plan, ["bounded", "exact"], readTarget(target), { linears: true });
  await dump.plan("a-pass", plan);
  await dump.plan("another", plan);
  await dump.schedule(scheduled);
  const text = (file: string) => readFileSync(join(folder, file), "utf8");
  return { plan, scheduled, folder, files: readdirSync(folder).sort(), text };
}

test("every stage of a build for CPUs", async () => {
  const { plan, scheduled, folder, files, text } = await dumped("cpu-portable");
  expect(files).toEqual([
    "01-a-pass.ts",
    "02-another.ts",
    "03-steps-bounded.txt",
    "03-steps-exact.txt",
    "04-program-bounded.txt",
    "04-program-exact.txt",
  ]);
  expect((await readPlan(join(folder, "01-a-pass.ts"))).plan).toEqual(plan);
  expect(text("03-steps-bounded.txt")).toBe(stepsText(scheduled.steps.bounded!.steps));
  expect(text("03-steps-bounded.txt")).toContain("rho < 0.25: y = M g, k = 4");
  expect(text("03-steps-exact.txt")).not.toContain("rho <");
});

test("on GPUs the steps as they run there, too", async () => {
  const { scheduled, files, text } = await dumped("mi300x");
  expect(files.slice(2)).toEqual([
    "03-steps-bounded.txt",
    "03-steps-exact.txt",
    "04-device-steps-bounded.txt",
    "04-device-steps-exact.txt",
    "05-program-bounded.txt",
    "05-program-exact.txt",
  ]);
  expect(text("04-device-steps-exact.txt")).toBe(stepsText(scheduled.steps.exact!.deviceSteps!));
  expect(text("04-device-steps-exact.txt")).toContain("choose ");
  expect(text("03-steps-exact.txt")).not.toContain("choose ");
});

test("every launch of a program stands in its text, with all arguments", async () => {
  const { scheduled, text } = await dumped("cpu-portable");
  const { body, head, linears } = scheduled.listings.bounded!;
  const lines = text("04-program-bounded.txt").split("\n");
  const launches = [...body, ...head, ...linears.flatMap(({ launches }) => launches)];
  const found = lines.filter((line) => /^\d+ gsic_/.test(line));
  expect(found.map((line) => line.split(" ")[1])).toEqual(launches.map(({ kernel }) => kernel));
  expect(lines.filter((line) => line.startsWith("    "))).toHaveLength(
    launches.reduce((sum, launch) => sum + launch.arguments.length, 0),
  );
  const y = body[0]!.arguments.find(({ name }) => name === "y")!;
  const line = `    y           float at arena + ${y.offset}: tokens, ${y.bytes} bytes`;
  expect(lines.slice(lines.indexOf("# Pass")).slice(1, 4)).toContain(line);
  expect(lines.filter((line) => line.startsWith("# Alone: "))).toHaveLength(linears.length);
});
