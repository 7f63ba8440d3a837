/**
 * Predicts, from what is counted in the machine code for the MI300X, a token of a model of Llama-3.1-8B's shape behind
 * 128, 4096 and 32768 tokens, in bf16 and at 4 bits. Prints the tables of examples/bench/gpu.md, and what they are made of:
 * `npx tsc -p tsconfig.json && node dist/compiler/testing/counted-shapes.js`. Needs clang and llvm-objdump, and no device.
 */

import { deviceKernelOf } from "../emit/gpu/kernel.js";
import { type CountedLaunch, type LateLaunch, predictAttention } from "../inspect/machine-code/attention.js";
import type { MachineCounts } from "../inspect/machine-code/count.js";
import { countKernels } from "../inspect/machine-code/kernels.js";
import { predictLaunch, turnSeconds } from "../inspect/machine-code/predict.js";
import type { CacheType } from "../ir/graph.js";
import { bitWidths } from "../ir/plan.js";
import type { Kernel } from "../ir/program.js";
import type { DeviceStep } from "../ir/steps.js";
import { gpuTarget } from "./gpu.js";
import { attentionSteps, kernelOf, norm, project, tiered } from "./gpu-steps.js";

const target = gpuTarget("mi300x");
const layers = 32;
const shape = { heads: 32, kvHeads: 8, headDim: 128 };
const { heads, kvHeads, headDim } = shape;
/** Tokens that the predicted one is behind. */
const lengths = [128, 4096, 32768];

/** The context that kernels are built for: the longest that is predicted, and room behind it. */
const context = 65536;

const attentionOutput = project("bf16", 4096, 4096, { residual: "r" });
const { attended } = attentionSteps(shape, target, context, attentionOutput);

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
    of(layers, 4096, 4096, { residual: "r", attended }),
    of(layers, 14336, 4096, { norm, glu: true, activation: "silu" }),
    of(layers, 4096, 14336, { residual: "r" }),
    { times: 1, bytes: 2 * 128256 * 4096, step: project("bf16", 128256, 4096, { norm, head: true }) },
  ];
}

const choose = {
  ...{ kind: "choose", layer: null, input: "logits", output: "ids" },
  vocabulary: 128256,
} satisfies DeviceStep;

/** Attention with a kind of cache, and what combines its parts. */
interface Attended {
  readonly cache: CacheType;
  readonly attending: CountedLaunch;
  readonly combining: LateLaunch;
}

async function countAttention(cache: CacheType): Promise<Attended> {
  const { attend, combine } = attentionSteps({ ...shape, cache }, target, context, attentionOutput);
  const kernels = [attend, combine!].map((step) => kernelOf(step, target, context));
  const counts = await countKernels(kernels, target);
  const [attending, combining] = kernels.map(({ symbol, launch }) => {
    const { waits, slots } = counts.get(symbol)!;
    console.log(`${symbol}: trips ${waits}, slots ${slots}`);
    return { launch, counts: { waits, slots } };
  });
  const { from } = deviceKernelOf(combine!, context, target);
  return { cache, attending: attending!, combining: { ...combining!, from: from! } };
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

/** Vector instructions per weight for one column, of projections [4096, 16384], by type. */
async function countTypes(): Promise<void> {
  const plain = ["bf16", "f16", "q4_0", "q4_k", "q5_k", "q6_k", "q8_0"] as const;
  const steps = [
    ...plain.map((type) => [type, project(type, 4096, 16384)] as const),
    ...bitWidths.map(
      (bits) => [`${bits} bits`, tiered({ bits, group: 64, symmetric: false }, 0, 4096, 16384)] as const,
    ),
  ];
  const kernels = steps.map(([, step]) => kernelOf(step, target));
  const counts = await countKernels(kernels, target);
  const shown = steps.map(([name], index) => {
    const loop = counts.get(kernels[index]!.symbol)!.weightLoops.at(-1)!;
    return `${name} ${(loop.vector / loop.weights).toFixed(2)}`;
  });
  console.log(`vector instructions per weight: ${shown.join(", ")}`);
}

async function main(): Promise<void> {
  const chooser = kernelOf(choose, target, context);
  const chosen = chooseSeconds(chooser, (await countKernels([chooser], target)).get(chooser.symbol)!);
  console.log(`choosing a token: ${micro(chosen)} us`);
  const caches = [await countAttention("f32"), await countAttention("f16")];
  for (const bits of [16, 4] as const) {
    const found = linears(bits).map((linear) => ({
      ...linear,
      kernel: kernelOf(linear.step, target, context),
    }));
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
    for (const found of caches) {
      const shares = lengths.map((tokens) => {
        const attention = { ...shape, window: null, cache: found.cache };
        const { attend, combine } = predictAttention(attention, tokens, context, found, target);
        const attending = layers * (attend + combine);
        const total = times.reduce((sum, one) => sum + one, target.cost.launch + attending + chosen);
        const share = `${((100 * bytes) / target.cost.bandwidth / total).toFixed(0)} %`;
        return `${share} (${(total * 1e3).toFixed(2)} ms, attention ${micro(attend)} + ${micro(combine)} us a layer)`;
      });
      const title = `${bits} bits, a cache of ${found.cache}, share of the read ceiling`;
      console.log(`${title} behind 128; 4,096; 32,768 tokens: ${shares.join("; ")}`);
    }
  }
  await countTypes();
}

await main();
