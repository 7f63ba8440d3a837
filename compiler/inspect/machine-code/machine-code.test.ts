import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { findLlvmTool } from "../../cc/llvm.js";
import { blockSizes, type DType } from "../../ir/graph.js";
import { bitWidths } from "../../ir/plan.js";
import type { DeviceStep } from "../../ir/steps.js";
import { gpuTarget, whyNotCompiled } from "../../testing/gpu.js";
import { kernelOf, norm, project, tiered } from "../../testing/gpu-steps.js";
import { predictAttention } from "./attention.js";
import { countPath, type WeightLoop } from "./count.js";
import { readInstructions } from "./instructions.js";
import { countKernels } from "./kernels.js";
import { pathOf } from "./path.js";
import { instructionsPerWeight, predictLaunch } from "./predict.js";
import { machineCodeText } from "./text.js";

const mi300x = gpuTarget("mi300x");
const [objdump, mca] = [await findLlvmTool("llvm-objdump"), await findLlvmTool("llvm-mca")];
const noObjects = objdump === null ? "no llvm-objdump" : await whyNotCompiled(mi300x);
const reason = (why: string | null) => (why === null ? "" : ` (skipped: ${why.split("\n")[0]})`);

/** What llvm-objdump prints, with made-up encodings. */
const listing = (...lines: readonly string[]) =>
  [
    "0000000000000100 <kernel>:",
    ...lines.map((line, i) => {
      const [text, target] = line.split(" -> ");
      const place = target === undefined ? "" : ` <kernel+0x${(4 * Number(target)).toString(16)}>`;
      return `\t${text!.padEnd(40)} // 000000000${(0x100 + 4 * i).toString(16).toUpperCase()}: BF800000${place}`;
    }),
  ].join("\n");

describe("a path", () => {
  const code = readInstructions(
    listing(
      "s_load_dwordx2 s[0:1], s[4:5], 0x0",
      "s_waitcnt lgkmcnt(0)",
      "s_branch 2 -> 5",
      "global_store_dword v[2:3], v4, off",
      "s_endpgm",
      "global_load_dword v1, v0, s[0:1] sc1",
      "global_load_dword v2, v0, s[0:1] offset:4",
      "s_cbranch_execz 9 -> 3",
      "s_waitcnt vmcnt(1)",
      "s_waitcnt vmcnt(0)",
      "global_load_dwordx4 v[4:7], v1, s[2:3] nt",
      "global_load_dwordx4 v[8:11], v2, s[2:3] nt",
      "s_waitcnt vmcnt(0)",
      "v_mfma_f32_4x4x4_16b_bf16 v[12:15], v[4:5], v[6:7], v[12:15]",
      "v_add_u32_e32 v1, v1, v2",
      "s_cbranch_scc1 65530 -> 10",
      "s_branch 65520 -> 3",
    ),
  );
  const counts = countPath(pathOf(code));

  test("follows jumps, ends at the end, and knows a loop by its branch back", () => {
    const { instructions, loops } = pathOf(code);
    expect(instructions.map(({ name }) => name).slice(-3)).toEqual([
      "s_branch",
      "global_store_dword",
      "s_endpgm",
    ]);
    expect(loops).toEqual([{ first: 8, last: 13 }]);
  });

  test("counts loads that go out together as one trip, and the weights of a loop", () => {
    expect(counts).toMatchObject({ waits: 3, waitsBehind: 0, inFlight: 32, barriers: 0, memoryLoops: [] });
    expect(counts.first).toMatchObject({ before: 2, meanwhile: 0, bytes: 32 });
    expect(counts.weightLoops).toMatchObject([{ weights: 4, bytes: 32, vector: 1, matrix: 1, waits: 1 }]);
  });

  test("is predicted to take its trips, and the longer of reading and issuing", () => {
    const { gap, before, idle, after, memory, issue, total } = predictLaunch(counts, null, 4.1e9, mi300x);
    // Before the first weight, five slots of four clocks in which anything is issued.
    const slots = (5 * 4) / 2.1e9;
    expect([gap, memory, after]).toEqual([mi300x.cost.step, 1e-3, 0]);
    // Two more while the first are on their way, 32 bytes a lane.
    expect(idle).toBeCloseTo((2 * 4) / 2.1e9 - (32 * 64) / 4.1e12, 12);
    expect(before).toBeCloseTo(2 * mi300x.gpu.latency + slots, 12);
    // Two instructions a loop of 32 bytes; 64 lanes, four clocks each, on 304 units of four SIMDs at 2.1 GHz.
    expect(issue).toBeCloseTo((((4.1e9 * 2) / 32 / 64) * 4) / (304 * 4) / 2.1e9, 9);
    expect(total).toBeCloseTo(gap + before + memory + idle, 12);
  });
});

test("attention is predicted to take a workgroup, then the other ones or the cache's reading, and combining", () => {
  const shape = { heads: 32, kvHeads: 8, headDim: 128, window: null, cache: "f16" } as const;
  const launch = { threads: 256, lds: 0, maxWorkgroups: 65536, perUnit: 4 };
  const counted = (slots: number) => ({ launch, counts: { waits: 3, slots } });
  const behind = (tokens: number, window: number | null = null, slots = 2100) => {
    const kernels = { attending: counted(slots), combining: { ...counted(525), from: 128 } };
    return predictAttention({ ...shape, window }, tokens, 65536, kernels, mi300x);
  };
  const trips = 3 * mi300x.gpu.latency;
  // Four clocks a slot at 2.1 GHz, a wave on each SIMD.
  const [first, combine] = [trips + 4e-6, mi300x.cost.step + trips + 1e-6];
  const reading = (tokens: number) => (2 * tokens * 8 * 256) / mi300x.cost.bandwidth;
  expect(behind(127).attend).toBeCloseTo(mi300x.cost.step + first + reading(127), 12);
  expect(behind(127).combine).toBe(0);
  expect(behind(128).combine).toBeCloseTo(combine, 12);
  expect(behind(4096).attend).toBeCloseTo(mi300x.cost.step + first + reading(4096), 12);
  // Eight workgroups of each of 39 parts, more than there are compute units: a second round, which takes longer than reading.
  expect(behind(38 * 128, null, 4200).attend).toBeCloseTo(mi300x.cost.step + trips + 16e-6, 12);
  expect(behind(4096, 100).attend).toBeCloseTo(mi300x.cost.step + first + reading(99), 12);
  expect(behind(4096, 100).combine).toBe(combine);
});

/** The types that a matrix on a GPU may have, each as a projection. */
const types: readonly (readonly [name: string, step: DeviceStep])[] = [
  ...(Object.keys(blockSizes) as DType[]).map((dtype) => [dtype, project(dtype, 4096, 16384)] as const),
  ...bitWidths.map(
    (bits) => [`int${bits}`, tiered({ bits, group: 64, symmetric: false }, 0, 4096, 16384)] as const,
  ),
];

async function loopOf(step: DeviceStep): Promise<WeightLoop> {
  const kernel = kernelOf(step, mi300x);
  // Of the first chunk of a row and of those behind it.
  const loops = (await countKernels([kernel], mi300x)).get(kernel.symbol)!.weightLoops;
  expect(loops.length).toBeLessThanOrEqual(2);
  return loops.at(-1)!;
}

describe.skipIf(noObjects !== null)(`kernels for the MI300X${reason(noObjects)}`, () => {
  test.each(types)("take as many instructions per weight as the target says: %s", async (name, step) => {
    const counted = instructionsPerWeight(await loopOf(step));
    const said = mi300x.gpu.instructions.get(name)!;
    expect(Math.abs(said / counted - 1), `${name}: counted ${counted.toFixed(3)}`).toBeLessThan(0.03);
  });

  test("take few vector instructions for few bits", async () => {
    const vector = async (name: string) => {
      const { vector: count, weights } = await loopOf(types.find(([one]) => one === name)![1]);
      return count / weights;
    };
    expect(await vector("int3")).toBeLessThan(2.5);
    expect(await vector("int4")).toBeLessThan(1.5);
  });

  test.skipIf(mca === null)(
    `take the slots that llvm-mca says${reason(mca === null ? "no llvm-mca" : null)}`,
    async () => {
      // llvm-mca of LLVM 22 does not end on some sums with a carry: they take their slot, too.
      const isSimulated = ({ unit, name }: WeightLoop["instructions"][number]) =>
        /^(vector|matrix|scalar|idle)$/.test(unit) && !/^v_addc?_co_/.test(name);
      // Of a turn of 128 weights of 8 bits llvm-mca says up to a third more.
      const long: typeof types = [["long q8_0", project("q8_0", 16384, 4096)]];
      for (const [name, step] of [...types, ...long]) {
        const { instructions, slots } = await loopOf(step);
        // Memory is taken to answer at once: what asks it takes its slot, and nothing waits.
        const text = instructions
          .filter(({ unit }) => unit !== "wait")
          .map((one) => (isSimulated(one) ? one.text : "s_nop 0"))
          .join("\n");
        const turns = 100;
        const printed = execFileSync(mca!, ["-mtriple=amdgcn", "-mcpu=gfx942", `-iterations=${turns}`, "-"], {
          input: text,
          encoding: "utf8",
          stdio: ["pipe", "pipe", "ignore"],
        });
        const cycles = Number(/Total Cycles:\s+(\d+)/.exec(printed)![1]) / turns;
        expect(Math.abs(slots / cycles - 1), `${name}: ${slots} slots, ${cycles} by llvm-mca`).toBeLessThan(
          0.15,
        );
      }
    },
  );

  test("are shown with their counts and times", async () => {
    const kernel = kernelOf(project("bf16", 4096, 4096, { norm }), mi300x);
    const counts = (await countKernels([kernel], mi300x)).get(kernel.symbol)!;
    // Parameters are there, and say that the column is alone. It comes with its gain, and is measured and staged, a
    // barrier each, while four loads of weights are on their way.
    expect(counts.first).toMatchObject({ before: 0, barriers: 2, meanwhile: 1, bytes: 64 });
    const text = machineCodeText({
      target: "mi300x",
      seconds_per_token: { exact: 1.5e-3 },
      behind: [{ tokens: 4096, seconds_per_token: { exact: 2e-3 } }],
      kernels: [
        {
          symbol: kernel.symbol,
          vector_per_weight: 0.5,
          matrix_per_weight: 0.25,
          waits_before_weights: 4,
          waits: 6,
          waits_of_loops: [2],
          barriers: 3,
          bytes_in_flight: 65536,
          workgroups_per_unit: 1,
          weight_bytes: 4.1e6,
          prediction: { gap: 0, before: 0, idle: 0, memory: 1e-6, issue: 2e-6, after: 0, total: 3e-6 },
        },
      ],
    });
    expect(text).toMatch(
      /gsic_project_bf16_4096x4096\w* +0\.50 +0\.25 +4 +6\+2 +64 KB +1\.0 +2\.0 +3\.0\nA token in exact mode .*: 1\.500 ms; 2\.000 ms behind 4,096\.$/,
    );
    expect(machineCodeText({ target: "h200", problem: "PTX" })).toBe(
      "The machine code for h200 was not counted: PTX",
    );
  });
});
