import { readdirSync } from "node:fs";
import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import type { CpuTarget } from "../config/target.js";
import { readTarget } from "../config/targets.js";
import type { DType } from "../ir/graph.js";
import type { Kernel } from "../ir/program.js";
import { makePlan } from "../passes/index.js";
import { schedule } from "../schedule/program.js";
import { densePlan, temporaryFolder, testTargets } from "../testing/fixtures.js";
import { gaussian, hardInputs, linearModel, randomBlocks, storedAs } from "../testing/kernels.js";
import { runKernel } from "../testing/quantized.js";
import { type CxxCompiler, findCompiler } from "./compilers.js";
import { findGpuCompiler } from "./gpu-compiler.js";
import { Includes } from "./includes.js";
import { compileKernels, sharedObject } from "./kernels.js";
import { precompiled } from "./precompiled.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

const [tokens, out] = [16, 37];

/** The kernels of y = W x, and weights for it in the order of the file. */
async function linear(dtype: DType, d: number) {
  const float = dtype === "bf16";
  const random = gaussian(d);
  const bytes = float
    ? storedAs(dtype, Float32Array.from({ length: out * d }, random))
    : randomBlocks(dtype, out * d, d);
  const { graph, weights } = await linearModel(hardInputs(tokens, d), tokens, { dtype, out, d, bytes });
  weights.close();
  const plan = makePlan(graph, { options: densePlan });
  return schedule(plan, ["exact"], readTarget("cpu-portable")).kernels;
}

function alone({ cores: _, ...kernel }: Kernel): Kernel {
  return kernel;
}

/** y of random weights, which are finite whatever type they are read as. */
async function results(kernels: readonly Kernel[], target: CpuTarget, d: number): Promise<Float32Array> {
  const library = join(await temporaryFolder(), "kernels.so");
  await writeFile(library, await compileKernels(kernels, target));
  const { symbol } = kernels.find(({ template }) => template === "project")!;
  const random = gaussian(7);
  const halves = Uint16Array.from({ length: 64 * d * 2 }, () => 0x3400 + Math.abs(random() * 512));
  const weights = [new Uint8Array(halves.buffer)];
  const padded = Math.ceil(out / 32) * 32;
  return runKernel({ library, symbol, out: padded, d, x: hardInputs(tokens, d), weights, chunks: [1, 7, 8] });
}

test.each([
  ["bf16", 100, "tiles_bf16_4"],
  ["bf16", 640, "tiles_bf16_0"],
  ["q4_1", 160, "blocks_q4_1_5"],
  ["q6_k", 2048, "blocks_q6_k_long"],
] as const)(
  "a kernel of %s and rows of %i gives the same bits with the core %s as alone",
  async (dtype, d, core) => {
    const kernels = await linear(dtype, d);
    const names = kernels.flatMap(({ cores }) => cores ?? []).map(({ name }) => name);
    expect(names).toEqual([core]);
    for (const target of await testTargets()) {
      const shared = await results(kernels, target, d);
      expect(shared.some((value) => value !== 0)).toBe(true);
      expect(shared).toEqual(await results(kernels.map(alone), target, d));
    }
  },
);

const compilers: CxxCompiler[] = [await findCompiler()];
await findGpuCompiler("hip").then(
  (clang) => compilers.push(clang),
  ({ message }: Error) => test.skip(`objects with a precompiled header of clang: ${message}`, () => {}),
);

test.each(compilers)(
  "objects of $command are the same with a precompiled header as without",
  async (compiler) => {
    const kernels = await linear("bf16", 32);
    const [target] = await testTargets();
    const made = async (prefix?: string) => {
      const cache = await temporaryFolder();
      vi.stubEnv("GSIC_CACHE", cache);
      const flags = ["-std=c++17", "-O2", "-fPIC", ...target!.flags];
      const library = await sharedObject(compiler, kernels, flags, "kernels", () => {}, { prefix });
      const precompiled = readdirSync(join(cache, "objects")).filter((name) => name.endsWith(".gch"));
      return { bytes: await readFile(library), precompiled: precompiled.length };
    };
    const plain = await made();
    const quick = await made('#include "gsic/dialect/cpu.h"\n');
    expect([plain.precompiled, quick.precompiled]).toEqual([0, 1]);
    expect(quick.bytes.equals(plain.bytes)).toBe(true);
  },
);

test("kernels are compiled as one text, each with names of its own, or alone where they do not go together", async () => {
  const cache = await temporaryFolder();
  vi.stubEnv("GSIC_CACHE", cache);
  const kernel = (symbol: string, text: string) =>
    ({ symbol, source: `${text}\nextern "C" Own ${symbol}() { return 0; }\n` }) as Kernel;
  const one = kernel("one", "using Own = int;");
  const two = kernel("two", "using Own = long;");
  const includes = kernel("includes", "#include <string>\nusing Own = std::string::size_type;");
  const compiler = await findCompiler();
  const objects = () => readdirSync(join(cache, "objects")).filter((name) => name.endsWith(".o")).length;
  for (const [kernels, count] of [
    [[one, two], 1],
    [[two, includes], 2],
  ] as const) {
    const path = await sharedObject(compiler, kernels, ["-O0", "-fPIC"], "kernels", () => {}, {
      together: 8,
    });
    for (const { symbol } of kernels)
      expect(await readFile(path, "latin1"), symbol).toContain(`\0${symbol}\0`);
    expect(objects()).toBe(count);
  }
  const wrong = sharedObject(compiler, [one, kernel("wrong", "Own")], [], "kernels", () => {}, {
    together: 8,
  });
  await expect(wrong).rejects.toMatchObject({ where: "kernel wrong" });
});

test("precompiled headers that nobody has used for weeks are removed, with what stands beside them", async () => {
  const cache = await temporaryFolder();
  vi.stubEnv("GSIC_CACHE", cache);
  const objects = join(cache, "objects");
  await mkdir(objects);
  const day = 24 * 3600;
  for (const [name, days] of [
    ["old", 20],
    ["used", 10],
  ] as const)
    for (const ending of [".h", ".h.gch"]) {
      const used = Date.now() / 1000 - days * day;
      await writeFile(join(objects, name + ending), "");
      await utimes(join(objects, name + ending), used, used);
    }
  const compiler = await findCompiler();
  const include = await temporaryFolder();
  await writeFile(join(include, "a.h"), "int a;\n");
  const prefix = { compiler, flags: ["-O1"], text: '#include "a.h"\n', include: [include] };
  const flags = await precompiled({ ...prefix, includes: new Includes([include]) }, 3);
  expect(readdirSync(objects)).toEqual(expect.arrayContaining(["used.h", "used.h.gch"]));
  for (const name of ["old.h", "old.h.gch"]) expect(readdirSync(objects)).not.toContain(name);
  expect(flags).toHaveLength(2);
});

test("what a source depends on are the headers that it includes, and those that these include", async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, "gsic"));
  const write = (name: string, text: string) => writeFile(join(folder, "gsic", name), text);
  await write("a.h", '#include "gsic/b.h"\n');
  await write("b.h", '#include "gsic/a.h"\n');
  await write("c.h", "int c;\n");
  const hash = () => new Includes([folder]).hash('  #  include "gsic/a.h"\n#include <string.h>\n');
  const before = await hash();
  await write("c.h", "int d;\n");
  expect(await hash()).toBe(before);
  await write("b.h", '#include "gsic/a.h"\nint b;\n');
  expect(await hash()).not.toBe(before);
});
