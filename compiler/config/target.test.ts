import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { blockSizes } from "../ir/graph.js";
import { bitWidths } from "../ir/plan.js";
import { commonTarget } from "./devices.js";
import { isCpu, isGpu } from "./target.js";
import { readTargetFile } from "./target-file.js";
import { bestFirst, machineTargets, readTarget, targetNames, targetsOf } from "./targets.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-targets-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const weightTypes = [...Object.keys(blockSizes), ...bitWidths.map((bits) => `int${bits}`)];

const good = `
device = "hip"
dialect = "gpu"
architecture = "gfx942"
flags = []
[gpu]
wave = 64
compute_units = 304
lds = 65536
workgroups_per_unit = 1
waves_per_workgroup = 16
cache_bandwidth = 56e9
clock = 2.1e9
latency = 0.6e-6
[gpu.instructions]
${weightTypes.map((type) => `${type} = 1`).join("\n")}
[cost]
bandwidth = 4.1e12
launch = 4.5e-6
step = 1e-6
`;

/** Reads a target's file of that text. */
function read(text: string) {
  const file = join(folder, "mine.toml");
  writeFileSync(file, text);
  return readTargetFile(file);
}

test("every target of the repository is whole", () => {
  const targets = targetNames().map(readTarget);
  expect(targets.filter(isGpu).map(({ name, device, architecture }) => [name, device, architecture])).toEqual(
    [
      ["h200", "cuda", "sm_90"],
      ["mi250x", "hip", "gfx90a"],
      ["mi300x", "hip", "gfx942"],
      ["mi355x", "hip", "gfx950"],
    ],
  );
  for (const { cost, device } of targets) {
    expect(cost.bandwidth).toBeGreaterThan(1e9);
    expect(cost.launch > 0).toBe(device !== "cpu");
  }
});

test("cpu names every CPU target of this machine, once, and nothing beside it", () => {
  expect(targetsOf(["cpu"])).toEqual(machineTargets());
  expect(targetsOf(["cpu-portable", "cpu"])).toEqual(machineTargets());
  expect(() => targetsOf(["cpu", "mi300x"])).toThrow(expect.objectContaining({ code: "targets-mixed" }));
});

test("this machine's targets are CPUs", () => {
  expect(machineTargets().length).toBeGreaterThan(0);
  expect(machineTargets().every(isCpu)).toBe(true);
});

test("CPUs are ordered by what they need, GPUs stay as they were named", () => {
  const names = (...of: string[]) => bestFirst(of.map(readTarget)).map(({ name }) => name);
  expect(names("cpu-portable", "cpu-avx512", "cpu-avx2")).toEqual(["cpu-avx512", "cpu-avx2", "cpu-portable"]);
  expect(names("mi300x", "mi250x", "mi355x")).toEqual(["mi300x", "mi250x", "mi355x"]);
  expect(targetsOf(["mi355x", "mi300x", "mi355x"]).map(({ name }) => name)).toEqual(["mi355x", "mi300x"]);
});

test("kernels for several GPUs take no more than each of them has", () => {
  const common = commonTarget(targetsOf(["mi355x", "mi300x"]));
  expect(common).toMatchObject({ name: "mi355x", gpu: { computeUnits: 256, lds: 65536 } });
  expect(commonTarget(machineTargets())).toEqual(machineTargets()[0]);
});

test.each([
  ["mi300x", "cpu-portable"],
  ["mi300x", "h200"],
])("%s and %s are not built together", (...names) => {
  expect(() => targetsOf(names)).toThrow(
    expect.objectContaining({ category: "usage", code: "targets-mixed" }),
  );
});

test("a name that is not known comes with the nearest that is", () => {
  expect(() => readTarget("mi300")).toThrow(
    expect.objectContaining({
      code: "target-unknown",
      hint: expect.stringMatching(/^did you mean mi300x\?/),
    }),
  );
});

describe("a target's file is refused, by its field", () => {
  test("but not if it is right", () => {
    expect(read(good)).toMatchObject({ name: "mine", device: "hip", gpu: { wave: 64, computeUnits: 304 } });
  });

  test.each([
    [
      "a key of another kind of device",
      "flags = []",
      'flags = []\nfeatures = ["avx2"]',
      "features",
      /fla|arch/,
    ],
    ["a misspelt key", "compute_units", "compute_unit", "gpu.compute_unit", /did you mean compute_units\?/],
    ["a misspelt table", "[cost]", "[costs]", "costs", /did you mean cost\?/],
    ["an unknown device", '"hip"', '"hipp"', "device", /one of: cpu, hip, cuda/],
    ["a missing figure", "launch = 4.5e-6\n", "", "cost.launch", /unit/],
    ["a figure that is none", "4.1e12", "-1.0", "cost.bandwidth", /unit/],
    ["a wave of another size", "wave = 64", "wave = 48", "gpu.wave", /32 or 64/],
    [
      "too many waves",
      "waves_per_workgroup = 16",
      "waves_per_workgroup = 17",
      "gpu.waves_per_workgroup",
      /16/,
    ],
    ["a figure in quotes", "= 56e9", '= "56e9"', "gpu.cache_bandwidth", /unit/],
    ["flags that are no list", "flags = []", 'flags = "-O2"', "flags", /write flags = \[\.\.\.\]/],
    ["more LDS than there is", "lds = 65536", "lds = 655360", "gpu.lds", /at most 163840/],
    ["more shared memory than CUDA declares", '"hip"\n', '"cuda"\n', "gpu.lds", /at most 49152/],
    ["text that is not TOML", "wave = 64", "wave = = 64", "", /correct the TOML/],
  ])("%s", (_, from, to, field, hint) => {
    const file = join(folder, "mine.toml");
    expect(() => read(good.replace(from, to))).toThrow(
      expect.objectContaining({
        category: "usage",
        code: "target-invalid",
        where: field === "" ? file : `${file}: ${field}`,
        hint: expect.stringMatching(hint),
      }),
    );
  });

  test("CPUs have no tables of GPUs", () => {
    const cpu = good.replace('"hip"', '"cpu"').replace("flags", "features = []\nflags");
    expect(() => read(cpu)).toThrow(expect.objectContaining({ where: expect.stringMatching(/: gpu$/) }));
  });
});
