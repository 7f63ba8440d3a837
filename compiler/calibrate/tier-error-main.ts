/**
 * node dist/compiler/calibrate/tier-error-main.js MODEL.toml STATS.safetensors '{"bits":5,"group":32,...}' [FOLDER]
 *
 * Quantises every linear of a model with one setting (the fields of `Quantizer` and `TierSettings`, over the defaults),
 * prints what that costs, and writes the values W' = Q + A B^T of each, f32, to FOLDER/<tensor>.f32.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "../config/config.js";
import { factorQuantizer } from "../ir/forms.js";
import type { LinearNode } from "../ir/graph.js";
import type { Quantizer } from "../ir/plan.js";
import { partOf } from "../ir/walk.js";
import { dequantized, groupsOf, type ShapedMatrix } from "../layout/quantizer.js";
import { openModel } from "../models/model.js";
import { Algebra } from "./algebra.js";
import { openStats } from "./stats-file.js";
import { defaultTiers, quantizeGroup, type TierMatrix, type TierSettings } from "./tiers.js";

type Setting = Quantizer & TierSettings;

const [toml, statsFile, text, folder] = process.argv.slice(2);
const setting: Setting = {
  bits: 5,
  group: 32,
  symmetric: true,
  ...defaultTiers,
  ...(JSON.parse(text ?? "{}") as Partial<Setting>),
};
const model = await openModel(readConfig(toml!), () => {});
const stats = await openStats(statsFile!, model.fingerprint);
const algebra = new Algebra();
if (folder !== undefined) mkdirSync(folder, { recursive: true });

const groups = new Map<string, LinearNode[]>();
for (const node of model.graph.nodes) {
  if (node.kind === "linear") groups.set(node.input, [...(groups.get(node.input) ?? []), node]);
}

/** Q + A B^T, [out, d]. */
async function valuesOf({ quantized, lowRank }: TierMatrix, b: ShapedMatrix | null): Promise<Float32Array> {
  const values = Float32Array.from(dequantized(quantized, quantized.quantizer, quantized.d));
  if (lowRank === null || b === null) return values;
  const { out, d } = quantized;
  const k = lowRank.a.length / out;
  const a = Float32Array.from(lowRank.a, (value, at) => value * lowRank.scales[Math.floor(at / k)]!);
  const transposed = new Float32Array(d * k);
  dequantized(b, b.quantizer, d).forEach((value, at) => {
    transposed[(at % d) * k + Math.floor(at / d)] = value;
  });
  const correction = await algebra.multiplyTransposed(a, transposed, out, d, k);
  return values.map((value, at) => value + correction[at]!);
}

/** Bytes of a quantised [out, d] without padding. */
function quantizedBytes(quantizer: Quantizer, out: number, d: number): number {
  const scales = out * groupsOf(quantizer, d) * (quantizer.symmetric ? 1 : 2);
  return Math.ceil((out * d * quantizer.bits) / 8) + scales + 4 * out;
}

let [bytes, dense, relative, linears, seconds] = [0, 0, 0, 0, 0];
const parts = new Map<string, { error: number; energy: number }>();
for (const [input, nodes] of groups) {
  const { d } = nodes[0]!.weight;
  const matrices = nodes.map(({ weight }) => ({
    weights: model.weights.readRows(weight, 0, weight.out),
    out: weight.out,
    quantizer: { bits: setting.bits, group: setting.group, symmetric: setting.symmetric },
  }));
  const { k, search, feedback, damping, rounds } = setting;
  const begin = performance.now();
  const result = await quantizeGroup(algebra, stats.read(input, d), matrices, {
    k,
    search,
    feedback,
    damping,
    rounds,
  });
  seconds += (performance.now() - begin) / 1000;
  if (k > 0) bytes += quantizedBytes(factorQuantizer, k, d);
  for (const [index, matrix] of result.matrices.entries()) {
    const { out } = matrix.quantized;
    bytes += quantizedBytes(matrix.quantized.quantizer, out, d) + (k === 0 ? 0 : out * (k + 4));
    dense += 2 * out * d;
    relative += matrix.error / matrix.energy;
    linears++;
    const { weight } = nodes[index]!;
    const part = partOf(nodes[index]!);
    const { error, energy } = parts.get(part) ?? { error: 0, energy: 0 };
    parts.set(part, { error: error + matrix.error / matrix.energy, energy: energy + 1 });
    if (folder === undefined) continue;
    const values = await valuesOf(matrix, result.b);
    writeFileSync(
      join(folder, `${weight.tensor}.f32`),
      new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength),
    );
  }
}
await algebra.close();
model.weights.close();
const detail = [...parts].map(
  ([part, { error, energy }]) => `${part} ${(10 * Math.log10(error / energy)).toFixed(1)}`,
);
process.stdout.write(
  `${JSON.stringify(setting)}: ${((16 * bytes) / dense).toFixed(3)} bits, ${(bytes / dense).toFixed(4)} of bf16, ` +
    `relative error ${(relative / linears).toExponential(3)}, ${seconds.toFixed(1)} s; dB: ${detail.join(", ")}\n`,
);
