import { existsSync, readdirSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build } from "./build.js";
import { openBuild, readPlan } from "./build-folder/open.js";
import { runTool } from "./cc/tool.js";
import { deviceJson, deviceText } from "./inspect/device.js";
import { machineCodeOf } from "./inspect/machine-code/report.js";
import { planTable } from "./inspect/table.js";
import { programsOf } from "./ir/modes.js";
import { silent } from "./support/progress.js";
import { fixturesFolder, temporaryFolder } from "./testing/fixtures.js";
import { gpuTarget, whyNotCompiled } from "./testing/gpu.js";

const gated =
  '[calibration]\ntokens = 256\n[quality]\nmode = "bounded"\n[plan]\nforms = ["gated"]\nk = [16]\nepsilon = [0.5]\nkv = "f16"\n';

/** Builds a fixture for a target; returns the build's folder and report. */
async function built(fixture: string, target: string, settings: string) {
  const folder = await temporaryFolder();
  await cp(join(fixturesFolder, fixture), join(folder, "model"), { recursive: true });
  const input = join(folder, "model.toml");
  await writeFile(input, `[model]\nname = "small"\nsource = "model"\n${settings}`);
  return build({ input, targets: [target], out: join(folder, "out"), progress: silent });
}

const noHip = await whyNotCompiled(gpuTarget("mi300x"));
const noCuda = await whyNotCompiled(gpuTarget("h200"));
const reason = (missing: string | null) => (missing === null ? "" : ` (skipped: ${missing})`);

describe.skipIf(noHip !== null)(`a build for the MI300X${reason(noHip)}`, () => {
  test("is calibrated on the CPU, compiled, and checked on simulated lanes", async () => {
    const { out, report } = await built("llama-bf16", "mi300x", gated);
    expect(report).toMatchObject({
      device: "hip",
      targets: ["mi300x"],
      modes: ["bounded", "exact", "lossless"],
    });

    const { self_check: check, cache } = report;
    expect(new Set(cache.types)).toEqual(new Set(["f16"]));
    expect(check).toMatchObject({ computed_by: "simulation", skipped: null });
    expect(check.exactError).toBeLessThan(1e-4);
    for (const mode of programsOf(report)) {
      const reads = check.weight_reads![mode]!;
      expect(reads.predicted_bytes).toBeGreaterThan(0);
      expect(reads.ratio).toBeCloseTo(1, 2);
    }

    expect(report.launches_per_layer.exact).toBe(5);
    const { memory, launches, steps, total } = report.prediction.dense;
    expect(launches).toBe(gpuTarget("mi300x").cost.launch);
    expect(memory + launches + steps).toBeCloseTo(total, 12);
    expect(report.predicted_seconds_per_token.dense).toBe(total);

    const inside = join(out, "kernels/mi300x");
    const symbols = report.kernels.map(({ symbol }) => symbol);
    const objects = symbols.map((symbol) => `${symbol}.hsaco`);
    expect(readdirSync(inside).sort()).toEqual([...objects, "resources.json"].sort());
    const resources = JSON.parse(await readFile(join(inside, "resources.json"), "utf8"));
    for (const kernel of report.kernels) {
      expect(kernel.resources.mi300x).toEqual(resources[kernel.symbol]);
      expect(kernel.resources.mi300x).toMatchObject({ scratch: 0, vgprSpills: 0, lds: kernel.launch!.lds });
    }
    for (const file of ["small", "libsmall.so", "gsic.h", "small.gsi", "program.json", "index.ts"])
      expect(existsSync(join(out, file)), file).toBe(true);

    const opened = openBuild(out);
    const text = deviceText(opened.report);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    for (const symbol of symbols) expect(text).toContain(symbol.slice(0, 20));
    const { programs } = deviceJson(opened.report, opened.program, []);
    expect(programs.exact!.body.length + programs.exact!.head.length).toBe(report.launches_per_token.exact);
    // A token is predicted in every program.
    const [code] = await machineCodeOf(opened);
    if (code === undefined || "problem" in code) throw new Error(code?.problem);
    expect(Object.keys(code.seconds_per_token).sort()).toEqual(["bounded", "exact", "verifying"]);
    for (const seconds of Object.values(code.seconds_per_token)) expect(seconds).toBeGreaterThan(total / 2);
    const { plan } = await readPlan(join(out, "graph.ts"));
    expect([...plan.linears.values()].map(({ bytes }) => bytes)).toEqual(
      report.linears.map(({ bytes }) => bytes),
    );
    expect(planTable(plan)).toContain("gated, as configured");

    const nowhere = { GSIC_DRIVER: join(out, "none.so") };
    const run = runTool(["bench", join(out, "small.gsi")], undefined, nowhere);
    await expect(run).rejects.toMatchObject({
      exitCode: 4,
      message: expect.stringContaining("no target of the bundle runs on this machine"),
    });
  });
});

describe.skipIf(noCuda !== null)(`a build for the H200${reason(noCuda)}`, () => {
  test("is PTX, and checked on simulated warps of 32 lanes", async () => {
    const { out, report } = await built("gpt2-bf16", "h200", "");
    expect(report).toMatchObject({ device: "cuda", targets: ["h200"], modes: ["exact"] });
    expect(report.self_check.exactError).toBeLessThan(1e-4);
    expect(report.self_check.weight_reads!.exact!.ratio).toBeCloseTo(1, 2);
    expect(report.kernels.every(({ resources }) => Object.keys(resources).length === 0)).toBe(true);
    const objects = report.kernels.map(({ symbol }) => `${symbol}.ptx`);
    expect(readdirSync(join(out, "kernels/h200")).sort()).toEqual(objects.sort());
    expect(deviceText(report)).toContain("PTX: the driver assigns registers");
  });
});
