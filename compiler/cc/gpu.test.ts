import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../testing/fixtures.js";
import { disassembly, gpuTarget, kernel, llvmTool, readelf, whyNotCompiled } from "../testing/gpu.js";
import { compileGpuKernels } from "./gpu.js";
import { probe } from "./gpu-compiler.js";
import { parseResources } from "./resources.js";
import { compileSimulation } from "./simulation.js";

const mi300x = gpuTarget("mi300x");
const h200 = gpuTarget("h200");
const noHip = await whyNotCompiled(mi300x);
const noCuda = await whyNotCompiled(h200);
const readelfTool = llvmTool("llvm-readelf");
const objdumpTool = llvmTool("llvm-objdump");

/** Reverses 256 floats through LDS. */
const reverse = (lane: string, barrier: string) => `
extern "C" __attribute__((global)) void reverse(const float *x, float *y) {
  static __attribute__((shared)) float tile[256];
  const unsigned lane = ${lane};
  tile[lane] = x[lane];
  ${barrier};
  y[lane] = tile[255 - lane];
}
`;
const hipReverse = reverse("__builtin_amdgcn_workitem_id_x()", "__builtin_amdgcn_s_barrier()");
const cudaReverse = reverse("__nvvm_read_ptx_sreg_tid_x()", "__nvvm_bar_sync(0)");

/** More live values than a lane of a workgroup of 1024 has registers for. */
const spilling = `
extern "C" __attribute__((global, amdgpu_flat_work_group_size(1024, 1024))) void spilling(float *x, int n) {
  float kept[200];
  const unsigned lane = __builtin_amdgcn_workitem_id_x();
#pragma unroll
  for (int i = 0; i < 200; i++) kept[i] = x[lane + i * n];
#pragma unroll
  for (int i = 0; i < 200; i++) x[lane * 200 + i] = kept[199 - i] * kept[(i * 7) % 200];
}
`;

describe.skipIf(noHip !== null)(`code for the MI300X${noHip === null ? "" : ` (skipped: ${noHip})`}`, () => {
  test("comes with what it takes of the device", async () => {
    const [object] = await compileGpuKernels([kernel("reverse", hipReverse, { lds: 1024 })], mi300x);
    expect(object!.resources).toMatchObject({ lds: 1024, scratch: 0, vgprSpills: 0, sgprSpills: 0 });
    // EI_ABIVERSION of version 5, which drivers of ROCm 6.0 and 6.1 load.
    expect(object!.bytes[8]).toBe(3);
    expect(object!.resources!.vgprs).toBeGreaterThan(0);
    expect(object!.resources!.occupancy).toBe(8);
  });

  test.skipIf(readelfTool === null || objdumpTool === null)("is what the device loads", async () => {
    const [object] = await compileGpuKernels([kernel("reverse", hipReverse, { lds: 1024 })], mi300x);
    const file = join(await temporaryFolder(), "reverse.hsaco");
    await writeFile(file, object!.bytes);
    const facts = readelf(readelfTool!, file);
    expect(facts).toMatch(/Machine:\s+EM_AMDGPU/);
    expect(facts).toContain("amdgcn-amd-amdhsa--gfx942");
    expect(facts).toMatch(/\.group_segment_fixed_size:\s+1024/);
    expect(facts).toMatch(/reverse\.kd/);
    expect(disassembly(objdumpTool!, file).some((line) => line.startsWith("s_barrier"))).toBe(true);
  });

  test("is the same wherever it is compiled", async () => {
    const compiled = async (): Promise<Uint8Array> => {
      const before = process.env.GSIC_CACHE;
      process.env.GSIC_CACHE = await temporaryFolder();
      try {
        return (await compileGpuKernels([kernel("reverse", hipReverse, { lds: 1024 })], mi300x))[0]!.bytes;
      } finally {
        if (before === undefined) delete process.env.GSIC_CACHE;
        else process.env.GSIC_CACHE = before;
      }
    };
    expect(Buffer.from(await compiled()).equals(await compiled())).toBe(true);
  });

  test("is refused where it spills", async () => {
    await expect(compileGpuKernels([kernel("spilling", spilling)], mi300x)).rejects.toMatchObject({
      category: "defect",
      code: "kernel-spills",
      message: expect.stringMatching(/^kernel spilling .* mi300x: with \d+ VGPRs it spills [1-9]/),
      hint: expect.stringContaining("gpu.waves_per_workgroup"),
    });
  });

  test("is refused where the launch promises other LDS", async () => {
    const refused = compileGpuKernels([kernel("reverse", hipReverse, { lds: 512 })], mi300x);
    await expect(refused).rejects.toMatchObject({ category: "defect", code: "kernel-lds" });
  });

  test("cannot be made for a device that clang does not know", async () => {
    const unknown = { ...mi300x, architecture: "gfx9999" };
    const refused = compileGpuKernels([kernel("reverse", hipReverse, { lds: 1024 })], unknown);
    await expect(refused).rejects.toMatchObject({
      category: "environment",
      code: "gpu-architecture-unknown",
      hint: expect.stringContaining("GSIC_CLANG"),
    });
  });

  test("does not compile: the first error is named", async () => {
    const refused = compileGpuKernels([kernel("broken", "int broken( {\n")], mi300x);
    await expect(refused).rejects.toMatchObject({
      code: "compile-failed",
      message: expect.stringContaining("first error: broken.cpp:1:"),
    });
  });
});

describe.skipIf(noCuda !== null)(`code for the H200${noCuda === null ? "" : ` (skipped: ${noCuda})`}`, () => {
  test("is PTX text with a closing NUL", async () => {
    const [object] = await compileGpuKernels([kernel("reverse", cudaReverse, { lds: 1024 })], h200);
    const text = Buffer.from(object!.bytes).toString();
    expect(text.indexOf("\0")).toBe(text.length - 1);
    expect(text).toContain(".target sm_90");
    expect(text).toMatch(/\.visible \.entry reverse\(/);
    expect(object!.resources).toBe(null);
  });
});

test("a compiler that cannot be used is named with the reason", async () => {
  await expect(probe("hip", ["/nowhere/clang++"])).rejects.toMatchObject({
    category: "environment",
    exitCode: 4,
    code: "gpu-compiler-missing",
    message: expect.stringContaining("tried /nowhere/clang++"),
    hint: expect.stringContaining("apt-get install clang-19 lld-19"),
  });
  const folder = await temporaryFolder();
  const pretend = async (name: string, version: string, targets: string, linker: string) => {
    const file = join(folder, name);
    const script = `case "$1" in --version) echo "${version}";; --print-targets) echo "${targets}";; *) echo "${linker}";; esac`;
    await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return file;
  };
  const old = await pretend("old", "clang version 14.0.6", "  amdgcn - AMD", "/usr/bin/lld");
  const bare = await pretend("bare", "clang version 19.1.7", "  x86-64 - 64-bit X86", "/usr/bin/lld");
  const unlinked = await pretend("unlinked", "clang version 19.1.7", "  amdgcn - AMD", "lld");
  const good = await pretend("good", "AMD clang version 18.0.0", "  amdgcn - AMD", "/usr/bin/lld");
  await expect(probe("hip", [old, bare, unlinked])).rejects.toMatchObject({
    message: expect.stringMatching(
      /is version 14, before 17; .*lacks the back end amdgcn; .*finds no lld: install lld-19/,
    ),
  });
  expect((await probe("hip", [old, unlinked, good])).command).toBe(good);
});

describe("remarks on resources", () => {
  const remark = (words: string) => `k.cpp:4:1: remark: ${words} [-Rpass-analysis=kernel-resource-usage]\n`;
  const figures = (symbol: string, vgprs: number, sgprs: string) =>
    [
      `Function Name: ${symbol}`,
      `    ${sgprs}: 15`,
      `    VGPRs: ${vgprs}`,
      "    AGPRs: 4",
      "    ScratchSize [bytes/lane]: 8",
      "    Dynamic Stack: False",
      "    Occupancy [waves/SIMD]: 7",
      "    SGPRs Spill: 3",
      "    VGPRs Spill: 2",
      "    LDS Size [bytes/block]: 16384",
    ]
      .map(remark)
      .join("");

  test("are read for the kernel that is meant, as clang 17 to 22 word them", () => {
    const text = figures("first_2", 1, "SGPRs") + figures("first", 46, "TotalSGPRs");
    expect(parseResources(text, "first")).toEqual({
      vgprs: 46,
      agprs: 4,
      sgprs: 15,
      lds: 16384,
      occupancy: 7,
      scratch: 8,
      vgprSpills: 2,
      sgprSpills: 3,
    });
    expect(parseResources(text, "first_2").vgprs).toBe(1);
  });

  test("that lack a figure do not pass for none", () => {
    const text = figures("first", 46, "SGPRs").replace("VGPRs Spill", "VGPRs spilled");
    expect(() => parseResources(text, "first")).toThrow("does not report vgprSpills of kernel first");
    expect(() => parseResources(text, "other")).toThrow("kernel other");
  });
});

test("a simulation is one shared object with every kernel's symbol", async () => {
  const source = (symbol: string) =>
    `extern "C" __attribute__((visibility("default"))) int ${symbol}(const void *, void *const *) { return GSIC_WAVE; }\n`;
  const kernels = ["one", "two"].map((symbol) => kernel(symbol, source(symbol)));
  const portable = { flags: [] };
  const library = await compileSimulation(kernels, 64, portable, { weightBytes: 0 });
  expect(library).not.toBe(await compileSimulation(kernels, 32, portable, { weightBytes: 0 }));
  const symbols = execFileSync("nm", ["--dynamic", "--defined-only", library], { encoding: "utf8" });
  expect(symbols).toMatch(/ T one\n/);
  expect(symbols).toMatch(/ T two\n/);
});
