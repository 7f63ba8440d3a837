import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build } from "../build.js";
import { openBuild, readPlan } from "../build-folder/open.js";
import { compileGpuKernels } from "../cc/index.js";
import { mockDriverEnvironment, readTraffic } from "../cc/mock-driver.js";
import { runTool } from "../cc/tool.js";
import { deviceText } from "../inspect/device.js";
import type { Kernel } from "../ir/program.js";
import { makePlan } from "../passes/index.js";
import type { Measurements } from "../report/measurements.js";
import { schedule } from "../schedule/program.js";
import { silent } from "../support/progress.js";
import { fixturesFolder, openFixture, temporaryFolder } from "../testing/fixtures.js";
import { gpuTarget, whyNotCompiled } from "../testing/gpu.js";
import { measureLaunches, runLaunches } from "./launches.js";
import { launchesText } from "./launches-text.js";
import { benchText } from "./text.js";
import { tune } from "./tune.js";
import { tuneText } from "./tune-text.js";
import { writeTuningBundle } from "./tuning-bundle.js";
import { variantsOf } from "./variants.js";

const target = gpuTarget("h200");
const missing = await whyNotCompiled(target);
const reason = missing === null ? "" : ` (skipped: ${missing})`;

/** Little memory: the simulated device reads a gigabyte a second, and the short buffers are to be noted. */
const memory = { GSIC_MOCK_MEMORY: String(24 << 20) };

/** The environment of a run on simulated lanes of kernels, and the file that says what they read. */
async function simulated(kernels: readonly Kernel[]) {
  const account = join(await temporaryFolder(), "account.json");
  return {
    account,
    environment: {
      ...(await mockDriverEnvironment(kernels, target.gpu.wave, { weightBytes: 0 }))(account),
      ...memory,
    },
  };
}

const spread = {
  median: expect.any(Number),
  mean: expect.any(Number),
  least: expect.any(Number),
  most: expect.any(Number),
};
const ceiling = {
  read_ceiling_bytes: expect.any(Number),
  read_ceiling_short: true,
  read_ceiling_bytes_per_second: spread,
  seconds_per_empty_launch: spread,
  seconds_per_sequence: spread,
};

/** Lines of a text for terminals, none of which is longer than 100. */
function linesOf(text: string): string[] {
  const lines = text.split("\n");
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  return lines;
}

describe.skipIf(missing !== null)(`measuring on a GPU, simulated${reason}`, () => {
  test("the step, its launches, and the divisions, which the next build takes", async () => {
    const folder = await temporaryFolder();
    await cp(join(fixturesFolder, "gpt2-bf16"), join(folder, "model"), { recursive: true });
    const input = join(folder, "model.toml");
    await writeFile(input, '[model]\nname = "small"\nsource = "model"\n');
    const options = { input, targets: ["h200"], out: join(folder, "out"), progress: silent };
    const { out, report } = await build(options);
    expect(report.kernels.map(({ symbol }) => symbol)).toContain("gsic_read");
    expect(report.tuning!.file).toBeNull();
    expect(report.tuning!.shapes.every(({ by }) => by === "rule")).toBe(true);
    const built = openBuild(out);
    const { plan } = await readPlan(join(out, "graph.ts"));
    const { account, environment } = await simulated(
      schedule(plan, ["exact"], target, { linears: true }).kernels,
    );

    const few = ["--tokens", "2", "--prefill", "4", "--repeat", "1"];
    const step = JSON.parse(
      await runTool(["bench", built.bundle, ...few], undefined, environment),
    ) as Measurements;
    expect(step).toMatchObject({ ...ceiling, device: "gsic mock driver", target: "h200" });
    expect(step.modes.exact!.share_of_ceiling).toBeGreaterThan(0);
    const reading = (await readTraffic(account)).find(({ symbol }) => symbol === "gsic_read")!;
    expect(reading.arguments[1]!.loaded).toBeGreaterThan(0);
    expect(reading.arguments[1]!.loaded % step.read_ceiling_bytes!).toBe(0);
    expect(benchText(step, "fixed ids")).toContain("too little memory is free");
    const without = { read_ceiling_bytes_per_second: null, seconds_per_empty_launch: null };
    expect(benchText({ ...step, ...without }, "fixed ids")).toContain("read ceiling: not measured");

    const launches = await measureLaunches(built, { repeat: 2, environment });
    expect(launches).toMatchObject({
      ...ceiling,
      model: "small",
      mode: "exact",
      columns: 1,
      cold_short: true,
    });
    expect(launches.step.launches).toBe(report.launches_per_token.exact);
    expect(launches.launches.reduce((sum, { in_step }) => sum + in_step, 0)).toBe(launches.step.launches);
    expect(launches.step.seconds.closed).toBe(launches.step.seconds.open);
    const multiplied = launches.launches.filter(({ kernel }) => /project|head/.test(kernel));
    expect(multiplied.length).toBeGreaterThan(3);
    for (const one of multiplied) {
      expect(one).toMatchObject({ gate: null, cold_seconds: spread, cached_seconds: spread });
      expect(one.weight_bytes).toBeGreaterThan(0);
      expect(one.copies).toBeGreaterThan(1);
      expect(one.cold_share_of_ceiling).toBeCloseTo(
        one.cold_bytes_per_second! / launches.read_ceiling_bytes_per_second!.median,
      );
    }
    const embed = launches.launches.find(({ kernel }) => kernel.includes("embed"))!;
    expect(embed).toMatchObject({ weight_bytes: null, cold_seconds: null, cached_seconds: spread });
    expect(linesOf(launchesText(launches)).join("\n")).toContain("project_bf16_34x34");

    const candidates = [1, 16];
    const { read, variants } = variantsOf(plan, ["exact"], target, candidates);
    const tuning = await simulated([read, ...variants.map(({ kernel }) => kernel)]);
    const measured = await tune(built, {
      file: null,
      splits: candidates,
      repeat: 1,
      progress: silent,
      environment: tuning.environment,
    });
    expect(measured).toMatchObject({ ...ceiling, target: "h200", file: join(folder, "h200.tuning.toml") });
    expect(measured.shapes.length).toBe(report.tuning!.shapes.length);
    for (const { candidates: timed, splits, rule } of measured.shapes) {
      const tried = [...new Set([...candidates, rule])].sort((a, b) => a - b);
      expect(timed.map((one) => one.splits)).toEqual(tried);
      expect(timed.every(({ seconds }) => seconds! > 0)).toBe(true);
      expect([...candidates, rule]).toContain(splits);
    }
    expect(linesOf(tuneText({ ...measured, file: "x" })).join("\n")).toContain("bf16 34x136");

    // The choices of a simulation are arbitrary: take one that the rule does not.
    const text = await readFile(measured.file, "utf8");
    const { out: rows, d } = measured.shapes.find(({ rule }) => rule !== 16)!;
    const chosen = new RegExp(`(out = ${rows}\nd = ${d}\nmatrices = 1\nsplits = )\\d+`);
    await writeFile(measured.file, text.replace(chosen, "$116"));
    const { report: next } = await build(options);
    expect(next.tuning!.cost).toEqual(measured.cost);
    expect(next.prediction.dense.launches).toBe(measured.cost!.launch);
    expect(next.tuning!.file).toBe("../h200.tuning.toml");
    const taken = next.tuning!.shapes.find((shape) => shape.out === rows && shape.d === d);
    expect(taken).toMatchObject({ splits: 16, by: "measurement", device: "gsic mock driver" });
    expect(next.self_check.exactError).toBeLessThan(1e-4);
    expect(deviceText(next)).toContain("as measured on gsic mock driver");
  });

  test("a gate is closed or open as the measurement says", async () => {
    const { model } = await openFixture("llama-bf16");
    const options = { forms: ["gated" as const], k: [16], epsilon: [0.5] };
    const plan = makePlan(model.graph, { options, device: target.device });
    // A basis that every workgroup reads for itself, and one that a launch of its own reads.
    for (const cacheBandwidthPerUnit of [1e15, 1]) {
      const shaped = { ...target, gpu: { ...target.gpu, cacheBandwidthPerUnit } };
      const found = variantsOf(plan, ["bounded", "exact"], shaped, [2]);
      const gated = found.variants.filter(({ kernel }) => kernel.symbol.includes("_k16"));
      const variants = [
        gated.find(({ launch }) => launch.job.values.some(({ value }) => value === 1))!,
        gated.find(({ launch }) => launch.job.values.every(({ value }) => value === 0))!,
      ];
      const kernels = [found.read, ...variants.map(({ kernel }) => kernel)];
      const code = { kind: "objects" as const, target, objects: await compileGpuKernels(kernels, target) };
      const bundle = join(await temporaryFolder(), "tuning.gsi");
      await writeTuningBundle(bundle, { graph: plan.graph, scheduled: found.scheduled, kernels, code });
      const { account, environment } = await simulated(kernels);
      const jobs = variants.map(({ launch }) => launch);
      await runLaunches(bundle, jobs, 0, { repeat: 1, environment });
      const traffic = await readTraffic(account);
      for (const { kernel, launch } of variants) {
        const { launches, arguments: moved } = traffic.find(({ symbol }) => symbol === kernel.symbol)!;
        const read = launch.job.arguments.map((one, index) => ({
          ...one,
          name: kernel.arguments[index]!.name,
          loaded: moved[index]!.loaded / launches,
        }));
        const matrices = read.filter(({ name }) => /^(weight|image)\d/.test(name));
        const tier = launch.job.values.some(({ value }) => value === 1) ? "weight" : "image";
        expect(matrices.filter(({ zero }) => !zero).every(({ name }) => name.startsWith(tier))).toBe(true);
        for (const { zero, loaded, bytes } of matrices) if (!zero) expect(loaded).toBe(bytes);
        // Zeros are shared: a basis of zeros is read as well.
        const unread = matrices.filter(({ zero, name }) => zero && name.startsWith("weight"));
        expect(unread.every(({ loaded }) => loaded === 0)).toBe(true);
      }
    }
  });
});

test("a CPU's build has no divisions to measure", async () => {
  const report = { device: "cpu", modes: ["exact"], mode: "exact" };
  const built = { folder: "/x", report, bundle: "/x/x.gsi", executable: "/x/x" } as never;
  const options = { file: null, splits: undefined, repeat: 1, progress: silent };
  await expect(tune(built, options)).rejects.toMatchObject({
    category: "usage",
    code: "bench-not-gpu",
    hint: expect.stringContaining("--target"),
  });
});
