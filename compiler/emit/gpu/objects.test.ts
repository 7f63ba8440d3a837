import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileGpuKernels } from "../../cc/index.js";
import type { GpuTarget } from "../../config/target.js";
import type { DeviceStep } from "../../ir/steps.js";
import { temporaryFolder } from "../../testing/fixtures.js";
import { disassembly, gpuTarget, llvmTool, readelf, whyNotCompiled } from "../../testing/gpu.js";
import {
  attentionSteps,
  exactFor,
  gateFor,
  kernelOf,
  norm,
  project,
  tiered,
} from "../../testing/gpu-steps.js";

const [mi300x, h200] = [gpuTarget("mi300x"), gpuTarget("h200")];
const readelfTool = llvmTool("llvm-readelf");
const objdumpTool = llvmTool("llvm-objdump");
const noTool = readelfTool === null || objdumpTool === null ? "no llvm-readelf and llvm-objdump" : null;
const missing = async (target: GpuTarget) => noTool ?? (await whyNotCompiled(target));
const noHip = await missing(mi300x);
const noCuda = await whyNotCompiled(h200);
const reason = (why: string | null) => (why === null ? "" : ` (skipped: ${why.split("\n")[0]})`);

/** What the code object of a kernel holds, whose resources `compileGpuKernels` has checked. */
async function objectOf(step: DeviceStep, target: GpuTarget) {
  const kernel = kernelOf(step, target);
  const [object] = await compileGpuKernels([kernel], target);
  const file = join(await temporaryFolder(), "object");
  await writeFile(file, object!.bytes);
  return {
    kernel,
    resources: object!.resources!,
    facts: readelf(readelfTool!, file),
    code: disassembly(objdumpTool!, file),
  };
}

/** Streams sixteen bytes; gfx90a has two bits for it. */
const streams = (line: string) => /^global_load_dwordx4 .*( nt| glc slc)$/.test(line);

/** Streamed loads that are on the way at once, and the matrix products before the next load, wherever there are some. */
function flights(code: readonly string[]): string[] {
  const found: string[] = [];
  let [loads, products] = [0, 0];
  for (const line of code) {
    if (line.startsWith("v_mfma")) products++;
    if (!streams(line)) continue;
    if (products > 0) {
      found.push(`${loads} loads, ${products} products`);
      [loads, products] = [0, 0];
    }
    loads++;
  }
  return [...found, `${loads} loads, ${products} products`];
}

const attentionOutput = project("bf16", 4096, 4096, { residual: "r" });
const { attended } = attentionSteps(
  { heads: 32, kvHeads: 8, headDim: 128 },
  mi300x,
  undefined,
  attentionOutput,
);
const ofParts = { ...attentionOutput, attended };

/**
 * In the loop for one column: of eight elements, [high, low] of the column by a row are two products. A row's part of a
 * low-rank factor is one load more, before the loop.
 */
const projections = [
  ["bf16", project("bf16", 4096, 4096), "4 loads, 8 products"],
  ["bf16 of parts of attention", ofParts, "4 loads, 8 products"],
  ["f16", project("f16", 4096, 16384), "4 loads, 16 products"],
  ["q4_k", project("q4_k", 16384, 4096), "4 loads, 32 products"],
  ["q8_0", project("q8_0", 16384, 4096), "8 loads, 32 products"],
  ["q6_k", project("q6_k", 4096, 4096), "2 loads, 16 products"],
  [
    "a GLU",
    project("bf16", 14336, 4096, { glu: true, activation: "silu", norm, gate: gateFor(4096) }),
    "4 loads, 8 products",
  ],
  ["4 bits", tiered({ bits: 4, group: 64, symmetric: true }, 0, 16384, 4096), "4 loads, 32 products"],
  [
    "5 bits, rank 32",
    tiered({ bits: 5, group: 32, symmetric: false }, 32, 16384, 4096),
    "5 loads, 32 products",
  ],
  [
    "8 bits, rank 64 as an earlier launch left it, and an exact tier",
    tiered({ bits: 8, group: 128, symmetric: false }, 64, 16384, 4096, {
      norm,
      given: { output: "g", squares: "squares" },
      exact: exactFor(4096),
    }),
    "9 loads, 32 products",
  ],
  [
    "a GLU at 6 bits, of three tiers",
    tiered({ bits: 6, group: 32, symmetric: false }, 32, 14336, 4096, {
      glu: true,
      activation: "silu",
      norm,
      gate: gateFor(4096),
      exact: exactFor(4096),
    }),
    "4 loads, 32 products",
  ],
] as const;

describe.skipIf(noHip !== null)(`code for the MI300X${reason(noHip)}`, () => {
  test.each(projections)("streams weights through matrix cores: %s", async (_, step, flight) => {
    const { kernel, resources, facts, code } = await objectOf(step, mi300x);
    expect(facts).toMatch(/Machine:\s+EM_AMDGPU/);
    expect(facts).toMatch(/Flags:.*gfx942/);
    expect(facts).toMatch(new RegExp(`FUNC +GLOBAL .* ${kernel.symbol}\n`));
    expect(facts).toMatch(new RegExp(`OBJECT +GLOBAL .* ${kernel.symbol}\\.kd\n`));
    expect(facts).toMatch(new RegExp(`\\.group_segment_fixed_size: +${kernel.launch!.lds}\n`));
    expect(facts).toMatch(/\.kernarg_segment_size: +\d+\n/);
    expect(kernel.launch!.lds).toBeLessThanOrEqual(mi300x.gpu.lds);
    expect(resources).toMatchObject({ scratch: 0, vgprSpills: 0, lds: kernel.launch!.lds });
    // Sixteen waves a workgroup are four a SIMD.
    expect(resources.occupancy).toBeGreaterThanOrEqual(4);
    expect(code.filter((line) => /^(scratch|buffer)_/.test(line))).toEqual([]);
    expect(code.some((line) => line.startsWith("v_mfma_f32_4x4x4_16b_bf16"))).toBe(true);
    expect(code.filter((line) => /^(flat|global)_atomic/.test(line))).toEqual([]);
    expect(flights(code)).toContain(flight);
  });

  test("f32 weights have no matrix cores: multiply-adds, four loads on the way", async () => {
    const { code } = await objectOf(project("f32", 4096, 4096), mi300x);
    expect(code.some((line) => line.startsWith("v_mfma"))).toBe(false);
    expect(code.filter((line) => /^v_(pk_)?fmac?_f32/.test(line)).length).toBeGreaterThan(64);
    const ways = code.join("\n").split(/^s_waitcnt .*vmcnt.*$/m);
    expect(Math.max(...ways.map((way) => way.split("\n").filter(streams).length))).toBe(4);
  });

  test("attention and the choice of a token keep everything in registers", async () => {
    const choose = { kind: "choose", layer: null, input: "logits", output: "ids" } as const;
    const attention = attentionSteps({ heads: 32, kvHeads: 8, headDim: 128 }, mi300x);
    const steps = [attention.attend, attention.combine!, { ...choose, vocabulary: 128256 }];
    for (const step of steps) {
      const { kernel, resources } = await objectOf(step, mi300x);
      expect(resources).toMatchObject({ scratch: 0, vgprSpills: 0, lds: kernel.launch!.lds });
    }
  });
});

for (const [name, flag] of [
  ["mi250x", /Flags:.*gfx90a/],
  ["mi355x", /Flags:.*gfx950/],
] as const) {
  const target = gpuTarget(name);
  const why = await missing(target);
  test.skipIf(why !== null)(`code for ${name} is of its architecture${reason(why)}`, async () => {
    const { kernel, facts, code } = await objectOf(project("bf16", 4096, 4096), target);
    expect(facts).toMatch(flag);
    expect(facts).toMatch(new RegExp(`\\.group_segment_fixed_size: +${kernel.launch!.lds}\n`));
    expect(code.some((line) => /^v_mfma_f32_4x4x4\w*bf16/.test(line))).toBe(true);
    expect(flights(code)).toContain("4 loads, 8 products");
  });
}

test.skipIf(noCuda !== null)(`code for the H200 is PTX that streams weights${reason(noCuda)}`, async () => {
  for (const step of [project("bf16", 4096, 4096, { norm }), project("q4_k", 4096, 16384)]) {
    const kernel = kernelOf(step, h200);
    const [object] = await compileGpuKernels([kernel], h200);
    const text = Buffer.from(object!.bytes).toString();
    expect(text).toMatch(/^\.target sm_90$/m);
    expect(text).toContain(`.visible .entry ${kernel.symbol}(`);
    expect(text).toMatch(/\.maxntid 512\b/);
    expect(text.match(/ld\.global\.nc\.L1::no_allocate\.v4\.u32/g)!.length).toBeGreaterThanOrEqual(4);
    expect(text).toMatch(/fma\.rn\.f32/);
    expect(text).toMatch(/shfl\.sync\.bfly\.b32/);
    expect(text).not.toMatch(/\.local|call\.uni/);
    const shared = [...text.matchAll(/\.shared \.align \d+ \.b8 \w+\[(\d+)\]/g)];
    expect(shared.reduce((sum, [, bytes]) => sum + Number(bytes), 0)).toBe(kernel.launch!.lds);
  }
});
