/**
 * Predicts, from what is counted in the machine code for the MI300X, a token of a model of Llama-3.1-8B's shape behind
 * 128, 4096 and 32768 tokens, in bf16 and at 4 bits. Prints the table of examples/bench/gpu.md, and what it is made of:
 * `npx tsc -p tsconfig.json && node dist/compiler/testing/counted-shapes.js`. Needs clang and llvm-objdump, and no device.
 */

import { countKernels } from "../inspect/machine-code/kernels.js";
import { predictLaunch, turnSeconds } from "../inspect/machine-code/predict.js";
import type { AttentionNode, RopeNode } from "../ir/graph.js";
import type { Kernel } from "../ir/program.js";
import type { DeviceStep } from "../ir/steps.js";
import { gpuTarget } from "./gpu.js";
import { kernelOf, norm, project, tiered } from "./gpu-steps.js";

const target = gpuTarget("mi300x");
const layers = 32;
const [heads, kvHeads, headDim] = [32, 8, 128];

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

const attention: AttentionNode = {
  ...{ kind: "attention", id: "a", layer: null, query: "q", key: "k", value: "v" },
  ...{ scale: 0.1, window: null, heads, kvHeads, headDim },
};
const rope: RopeNode = {
  ...{ kind: "rope", id: "r", layer: null, input: "q", heads, headDim, rotaryDim: headDim },
  ...{ pairing: "half", theta: 1e4, scaling: { kind: "none" } },
};
const places = { sourceWidth: 6144, queryColumn: 0, keyColumn: 4096, valueColumn: 5120, norms: null };
const attend: DeviceStep = {
  ...{ kind: "attend", layer: 0, output: "y", source: "x", attention, rope },
  ...places,
};
const choose: DeviceStep = {
  kind: "choose",
  layer: null,
  input: "logits",
  output: "ids",
  vocabulary: 128256,
};

/** Positions of a turn of attention's loop, as gpu/attention.h has them. */
const positionsOf = ({ launch }: Kernel, depth: number) => (launch!.threads / (headDim / 4)) * depth;

const micro = (seconds: number) => Number((seconds * 1e6).toFixed(1));

async function main(): Promise<void> {
  // The depth of attention.h; 1 counts kernels of before it had one.
  const depth = Number(process.argv[2] ?? 8);
  const kernels = [attend, choose].map((step) => kernelOf(step, target));
  const counts = await countKernels(kernels, target);
  const [attending, choosing] = kernels.map(({ symbol }) => counts.get(symbol)!);
  const waves = (kernel: Kernel) => kernel.launch!.threads / target.gpu.wave;
  const loop = [...attending!.memoryLoops].sort((a, b) => b.slots - a.slots)[0]!;
  const turn = turnSeconds(loop, waves(kernels[0]!), target);
  const outside = predictLaunch(attending!, 0, target).total;
  const read = Math.ceil(128256 / (kernels[1]!.launch!.threads * (depth > 1 ? 4 * depth : 1)));
  const pick = [...choosing!.memoryLoops].sort((a, b) => b.slots - a.slots)[0]!;
  const chosen =
    predictLaunch(choosing!, 0, target).total + read * turnSeconds(pick, waves(kernels[1]!), target);
  console.log(
    `attention: ${micro(outside)} us, and ${micro(turn)} us for ${positionsOf(kernels[0]!, depth)} positions`,
  );
  console.log(`choosing a token: ${micro(chosen)} us`);
  for (const bits of [16, 4] as const) {
    const found = linears(bits).map((linear) => ({ ...linear, kernel: kernelOf(linear.step, target) }));
    const all = await countKernels(
      found.map(({ kernel }) => kernel),
      target,
    );
    const times = found.map(({ kernel, bytes, times: count }) => {
      const parts = predictLaunch(all.get(kernel.symbol)!, bytes, target);
      const shown = Object.entries(parts).map(([name, seconds]) => `${name} ${micro(seconds)}`);
      console.log(`${kernel.symbol}: us ${shown.join(", ")}`);
      return count * parts.total;
    });
    const bytes = found.reduce((sum, { bytes: one, times: count }) => sum + one * count, 0);
    const shares = [128, 4096, 32768].map((context) => {
      const turns = Math.ceil(context / positionsOf(kernels[0]!, depth));
      const attended = layers * (outside + turns * turn);
      const total = times.reduce((sum, one) => sum + one, target.cost.launch + attended + chosen);
      return `${((100 * bytes) / target.cost.bandwidth / total).toFixed(0)} % (${(total * 1e3).toFixed(2)} ms)`;
    });
    console.log(
      `${bits} bits, share of the read ceiling behind 128; 4,096; 32,768 tokens: ${shares.join("; ")}`,
    );
  }
}

await main();
