import { afterEach, describe, expect, test, vi } from "vitest";
import { machineTargets, readTarget } from "../config/targets.js";
import type { ProgramMode } from "../ir/program.js";
import { load } from "../load.js";
import { noFactors } from "../pack/weights.js";
import { densePlan, nativeLogits, openFixture, writeTestBundle } from "../testing/fixtures.js";
import { calibrationTarget, readMachine, runnableTargets, targetsFor, targetsHere } from "./machine.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** What this machine has where nothing is hidden, whatever mask the tests run under. */
async function unmasked() {
  vi.stubEnv("GSIC_CPU", "");
  return { cpu: (await readMachine()).cpu, here: await targetsHere() };
}
const all = await unmasked();
vi.unstubAllEnvs();

const values = ["", "avx512", "avx2", "portable"];

/** A bundle of a small model for those targets. */
async function bundleFor(targets: readonly string[]): Promise<string> {
  const { model } = await openFixture("gpt2-bf16");
  const cpus = machineTargets().filter(({ name }) => targets.includes(name));
  const modes: readonly ProgramMode[] = ["exact"];
  const bundle = await writeTestBundle(model, densePlan, modes, noFactors, cpus);
  model.weights.close();
  return bundle;
}

/** The target that the runtime chooses. */
async function chosen(bundle: string): Promise<string> {
  const model = await load(bundle);
  const { target } = model.info;
  model.dispose();
  return target;
}

test("GSIC_CPU takes instruction sets away and adds none", async () => {
  const { features } = all.cpu;
  const narrow = features.filter((name) => !name.startsWith("avx512"));
  for (const [value, left] of [
    ["avx512", features],
    ["avx2", narrow],
    ["portable", []],
  ] as const) {
    vi.stubEnv("GSIC_CPU", value);
    expect((await readMachine()).cpu).toEqual({ features: left, mask: value });
  }
  expect(all.cpu.mask).toBe(null);
});

test.each(["avx", "AVX2", "cpu-avx2", " portable"])(
  "GSIC_CPU=%o is refused, with what it may be",
  async (value) => {
    const bundle = await bundleFor(["cpu-portable"]);
    vi.stubEnv("GSIC_CPU", value);
    const message = `the variable GSIC_CPU is '${value}', which is none of: avx512, avx2, portable`;
    const error = {
      category: "usage",
      code: "argument-invalid",
      message,
      hint: expect.stringMatching(/^unset it/),
    };
    await expect(runnableTargets()).rejects.toMatchObject(error);
    await expect(nativeLogits(bundle, [1], "exact")).rejects.toMatchObject(error);
    await expect(load(bundle)).rejects.toMatchObject({
      code: "GSIC_INVALID_ARGUMENT",
      message: expect.stringContaining(message),
    });
  },
);

test("the compiler chooses the target that the runtime chooses, whatever is hidden", async () => {
  const bundle = await bundleFor(machineTargets().map(({ name }) => name));
  for (const value of values) {
    vi.stubEnv("GSIC_CPU", value);
    const target = await chosen(bundle);
    expect((await runnableTargets())[0]!.name, value).toBe(target);
    expect((await calibrationTarget([readTarget("mi300x")])).name, value).toBe(target);
    expect(
      (await targetsFor(null)).map(({ name }) => name),
      value,
    ).toEqual([target]);
  }
  expect(await calibrationTarget([readTarget("cpu-portable")])).toEqual(readTarget("cpu-portable"));
});

describe("a bundle for hidden instruction sets alone is refused, and the variable named", () => {
  for (const [target, value] of [
    ["cpu-avx512", "avx2"],
    ["cpu-avx2", "portable"],
  ] as const) {
    const problem = all.here.find((one) => one.target.name === target)?.problem;
    const why = problem === null ? "" : `: ${problem ?? "this is another architecture"}`;
    test.skipIf(problem !== null)(`${target} under ${value}${why}`, async () => {
      const bundle = await bundleFor([target]);
      vi.stubEnv("GSIC_CPU", value);
      const hidden = new RegExp(
        `no target of the bundle runs .* ${target} \\(GSIC_CPU=${value} hides this machine's [a-z0-9]+\\)`,
      );
      await expect(nativeLogits(bundle, [1], "exact")).rejects.toMatchObject({
        ...{ category: "environment", code: "no-device" },
        message: expect.stringMatching(hidden),
      });
      await expect(load(bundle, { target })).rejects.toMatchObject({
        code: "GSIC_NO_DEVICE",
        message: expect.stringContaining(`GSIC_CPU=${value}`),
      });
      vi.stubEnv("GSIC_CPU", "avx512");
      expect(await chosen(bundle)).toBe(target);
    });
  }
});
