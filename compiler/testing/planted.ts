/** Models for tests of the planner, with activations of a given shape: GPT-2s with the tokenizer of examples/tiny-gpt2. */

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toF16 } from "../read/dequantize.js";
import { readTensors, writeSafetensors } from "../read/safetensors-write.js";
import { packageRoot } from "../support/paths.js";
import { temporaryFolder } from "./fixtures.js";
import { gaussian } from "./kernels.js";

const example = join(packageRoot, "examples/tiny-gpt2");

/** The tensors of a GPT-2, and what its config says beside the example's. */
interface Planted {
  readonly config: { readonly n_embd: number; readonly n_layer: number; readonly n_head: number };
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
}

/** The example as it is. */
export async function trained(): Promise<Planted> {
  const { tensors } = await readTensors(join(example, "model/model.safetensors"));
  const entries = [...tensors.values()].map(
    ({ name, shape, data }) => [name, { shape, data: data as Float32Array }] as const,
  );
  return { config: { n_embd: 192, n_layer: 4, n_head: 6 }, tensors: new Map(entries) };
}

/**
 * A model of random weights whose residual stream lies in `rank` of `hidden` directions but for a hundredth of it: what
 * is written to it is projected. A single head, so that attention's output has no more directions than its input.
 */
export async function lowRank(hidden: number, rank: number): Promise<Planted> {
  const random = gaussian(rank);
  const directions = orthonormalRows(rank, hidden, random);
  const project = (row: Float32Array): Float32Array => {
    const kept = new Float64Array(hidden);
    for (const direction of directions) {
      const along = direction.reduce((sum, value, i) => sum + value * row[i]!, 0);
      for (let i = 0; i < hidden; i++) kept[i]! += along * direction[i]!;
    }
    return row.map((value, i) => kept[i]! + 0.01 * (value - kept[i]!));
  };
  const model = await randomModel(hidden, 2, 1, hidden ** -0.5, random);
  for (const [name, { data }] of model.tensors) {
    if (!/(wte|wpe|c_proj)\.weight$/.test(name)) continue;
    for (let at = 0; at < data.length; at += hidden) data.set(project(data.slice(at, at + hidden)), at);
  }
  return model;
}

/**
 * A model in which every direction of the residual stream is as strong as every other: it holds the random embedding
 * of the position, all of which are equally frequent, and little else.
 */
export async function white(): Promise<Planted> {
  const model = await randomModel(192, 2, 6, 0.02, gaussian(5));
  const { data } = [...model.tensors].find(([name]) => name.endsWith("wpe.weight"))![1];
  data.forEach((value, i) => {
    data[i] = 50 * value;
  });
  return model;
}

/** Random weights of a standard deviation; gains 1, biases 0. */
async function randomModel(
  hidden: number,
  layers: number,
  heads: number,
  deviation: number,
  random: () => number,
): Promise<Planted> {
  const { tensors, config } = await trained();
  const scaled = (size: number) => (size % config.n_embd === 0 ? (size / config.n_embd) * hidden : size);
  const made = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, { shape }] of tensors) {
    const layer = /\bh\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined && Number(layer) >= layers) continue;
    // The vocabulary and the context are no multiples of the hidden size's.
    const sizes = /w[tp]e\./.test(name) ? [shape[0]!, hidden] : shape.map(scaled);
    const length = sizes.reduce((product, size) => product * size, 1);
    const value = name.endsWith(".bias")
      ? () => 0
      : sizes.length === 1
        ? () => 1
        : () => deviation * random();
    made.set(name, { shape: sizes, data: Float32Array.from({ length }, value) });
  }
  return { config: { n_embd: hidden, n_layer: layers, n_head: heads }, tensors: made };
}

/** Writes such a model, with the example's tokenizer and texts, and a model.toml; returns the path of the latter. */
export async function plantedModel(planted: Planted, settings: string): Promise<string> {
  const folder = await temporaryFolder();
  const model = join(folder, "model");
  mkdirSync(model);
  for (const name of ["tokenizer.json", "tokenizer_config.json"])
    cpSync(join(example, "model", name), join(model, name));
  const original = JSON.parse(readFileSync(join(example, "model/config.json"), "utf8")) as object;
  writeFileSync(join(model, "config.json"), JSON.stringify({ ...original, ...planted.config }));
  const tensors = [...planted.tensors].map(([name, { shape, data }]) => ({
    name,
    shape,
    data: toF16(data),
    dtype: "F16" as const,
  }));
  await writeSafetensors(join(model, "model.safetensors"), tensors);
  const toml = join(folder, "model.toml");
  const texts = `[calibration]\ntext = ["${example}/calibration.txt"]\ntokens = 4096\n[heldout]\ntext = ["${example}/heldout.txt"]\ntokens = 2048\n`;
  writeFileSync(toml, `[model]\nname = "planted"\nsource = "model"\n${texts}${settings}`);
  return toml;
}

function orthonormalRows(count: number, width: number, random: () => number): Float64Array[] {
  const rows: Float64Array[] = [];
  for (let i = 0; i < count; i++) {
    const row = Float64Array.from({ length: width }, random);
    for (const other of rows) {
      const along = row.reduce((sum, value, j) => sum + value * other[j]!, 0);
      row.forEach((_, j) => {
        row[j]! -= along * other[j]!;
      });
    }
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    rows.push(row.map((value) => value / length));
  }
  return rows;
}
