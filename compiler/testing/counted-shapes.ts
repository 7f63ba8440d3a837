/**
 * Predicts, from what is counted in the machine code for the MI300X, a token of a model of Llama-3.1-8B's shape behind
 * 128, 4096 and 32768 tokens, in bf16 and at 4 bits. Prints the table of examples/bench/gpu.md, and what it is made of:
 * `npx tsc -p tsconfig.json && node dist/compiler/testing/counted-shapes.js`. Needs clang and llvm-objdump, and no device.
 */

import { attentionCut, headsTogether } from "../emit/gpu/attention.js";
import type { MachineCounts } from "../inspect/machine-code/count.js";
import { countKernels } from "../inspect/machine-code/kernels.js";
import { predictLaunch, turnSeconds } from "../inspect/machine-code/predict.js";
import type { Kernel } from "../ir/program.js";
import type { DeviceStep } from "../ir/steps.js";
import { clocks, simds } from "../passes/cost.js";
import { gpuTarget } from "./gpu.js";
import { attentionSteps, kernelOf, norm, project, tiered } from "./gpu-steps.js";

const target = gpuTarget("mi300x");
const layers = 32;
const shape = { heads: 32, kvHeads: 8, headDim: 128 };
const { heads, kvHeads, headDim } = shape;

/** A step that reads weights: launches of a token, and bytes of a launch. */
interface Linear {
  readonly times: number;
  readonly bytes: number;
  readonly step: DeviceStep;
}

function linears(bits: 4 | 16): readonly Linear[] {
  const of = (times: number, out: number, d: number, more: Parameters<typeof project>[3]): Linear => {
    const quantizer = { bits: 4, group: 64, symmetric: false } as const;
    const step = bits === 4 ? tiered(quantizer, 0, out, d, more) : project("bf16", out, d, more);
    // Of 64 weights at four bits, a byte each of scale and zero point.
    const each = bits === 4 ? (32 + 2) / 64 : 2;
    return { times, step, bytes: out * d * each * (more?.glu ? 2 : 1) };
  };
  return [
    of(layers, (heads + 2 * kvHeads) * headDim, 4096, { norm }),
    of(layers, 4096, 4096, { residual: "r" }),
    of(layers, 14336, 4096, { norm, glu: true, activation: "silu" }),
    of(layers, 4096, 14336, { residual: "r" }),
    { times: 1, bytes: 2 * 128256 * 4096, step: project("bf16", 128256, 4096, { norm, head: true }) },
  ];
}

const choose = {
  ...{ kind: "choose", layer: null, input: "logits", output: "ids" },
  vocabulary: 128256,
} satisfies DeviceStep;

/** The context that kernels are built for: the longest that is predicted. */
const context = 32768;
const cut = attentionCut({ ...shape, window: null }, context, target.gpu);
/** Workgroups that a part of a column takes; bytes of keys and values of a position. */
const groups = kvHeads * Math.ceil(heads / kvHeads / headsTogether(shape));
const bytesPerPosition = 2 * kvHeads * headDim * 4;

/** Seconds of a kernel's workgroup: its round trips, and its issue slots where a compute unit holds one. */
const workgroup = ({ launch }: Kernel, { waits, slots }: MachineCounts) => ({
  trips: waits * target.gpu.latency,
  issue: (slots * clocks * Math.ceil(launch!.threads / target.gpu.wave / simds)) / target.gpu.clock,
});
type Workgroup = ReturnType<typeof workgroup>;

/** Workgroups of attention that a compute unit holds at once. */
const held = 2;

/**
 * Seconds of attention behind so many tokens: a workgroup's trips and instructions; then those of the other workgroups of
 * its compute unit, or the reading of keys and values, where that takes longer; and combining, where there are parts.
 */
function attended(tokens: number, attending: Workgroup, combining: Workgroup) {
  const parts = Math.ceil(tokens / cut.part);
  const rounds = Math.ceil((parts * groups) / target.gpu.computeUnits);
  const first = target.cost.step + attending.trips + attending.issue;
  const reading = (tokens * bytesPerPosition) / target.cost.bandwidth;
  const others = (rounds - 1) * Math.max(attending.issue, (attending.trips + attending.issue) / held);
  const combine = parts === 1 ? 0 : target.cost.step + combining.trips + combining.issue;
  return { attend: first + Math.max(reading, others), combine };
}

const micro = (seconds: number) => Number((seconds * 1e6).toFixed(1));

/** Seconds of the launch that chooses a token: its loop over the vocabulary waits for memory in every turn. */
function chooseSeconds(kernel: Kernel, counts: MachineCounts): number {
  const { threads } = kernel.launch!;
  const turns = Math.ceil(choose.vocabulary / (threads * 32));
  const loop = [...counts.memoryLoops].sort((a, b) => b.slots - a.slots)[0]!;
  return (
    predictLaunch(counts, kernel.launch, 0, target).total +
    turns * turnSeconds(loop, threads / target.gpu.wave, target)
  );
}

async function main(): Promise<void> {
  const kernels = [...attentionSteps(shape, target, context), choose].map((step) =>
    kernelOf(step, target, context),
  );
  const counts = await countKernels(kernels, target);
  const [attending, combining] = kernels.map((kernel) => workgroup(kernel, counts.get(kernel.symbol)!));
  const chosen = chooseSeconds(kernels[2]!, counts.get(kernels[2]!.symbol)!);
  for (const [index, { trips, issue }] of [attending!, combining!].entries())
    console.log(`${kernels[index]!.symbol}: us trips ${micro(trips)}, issue ${micro(issue)}`);
  console.log(`choosing a token: ${micro(chosen)} us`);
  for (const bits of [16, 4] as const) {
    const found = linears(bits).map((linear) => ({ ...linear, kernel: kernelOf(linear.step, target) }));
    const all = await countKernels(
      found.map(({ kernel }) => kernel),
      target,
    );
    const times = found.map(({ kernel, bytes, times: count }) => {
      const parts = predictLaunch(all.get(kernel.symbol)!, kernel.launch, bytes, target);
      const shown = Object.entries(parts).map(([name, seconds]) => `${name} ${micro(seconds)}`);
      console.log(`${kernel.symbol}: us ${shown.join(", ")}`);
      return count * parts.total;
    });
    const bytes = found.reduce((sum, { bytes: one, times: count }) => sum + one * count, 0);
    const shares = [128, 4096, 32768].map((tokens) => {
      const { attend, combine } = attended(tokens, attending!, combining!);
      const attention = layers * (attend + combine);
      const total = times.reduce((sum, one) => sum + one, target.cost.launch + attention + chosen);
      const share = `${((100 * bytes) / target.cost.bandwidth / total).toFixed(0)} %`;
      return `${share} (${(total * 1e3).toFixed(2)} ms, attention ${micro(attend)} + ${micro(combine)} us a layer)`;
    });
    console.log(
      `${bits} bits, share of the read ceiling behind 128; 4,096; 32,768 tokens: ${shares.join("; ")}`,
    );
  }
}

await main();
