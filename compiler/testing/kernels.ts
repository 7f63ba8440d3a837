/** Helpers of the kernel tests: models of one layer, gated plans on chosen bases, and a way to feed them. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildRuntime, findCompiler } from "../cc/index.js";
import type { Target } from "../config/target.js";
import {
  blockSizes,
  type DType,
  type Graph,
  isCheckpointType,
  type Node,
  type ValueId,
} from "../ir/graph.js";
import type { Mode } from "../ir/program.js";
import { linearById } from "../ir/walk.js";
import type { Model } from "../models/model.js";
import { evaluateGraph } from "../oracle/reference.js";
import { product } from "../oracle/reference-plan.js";
import { type FactorSource, noFactors } from "../pack/weights.js";
import { asHalf, toBf16, toF16 } from "../read/dequantize.js";
import { typeNumbers } from "../read/gguf-types.js";
import { Weights } from "../read/weights.js";
import { packageRoot } from "../support/paths.js";
import { ggufBytes } from "./files.js";
import { temporaryFolder } from "./fixtures.js";

const run = promisify(execFile);

/** Normally distributed numbers, the same for a seed: mulberry32 and Box-Muller. */
export function gaussian(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Floats as a type stores them: f32, f16 or bf16. */
export function storedAs(dtype: DType, values: Float32Array): Uint8Array {
  const array = dtype === "f32" ? values : dtype === "f16" ? toF16(values) : toBf16(values);
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}

/** Byte offsets of the f16 scales of a block; everything else in a block may be any byte. */
const scales: Partial<Record<DType, readonly number[]>> = {
  q8_0: [0],
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
};

/** Random blocks of a quantised type. */
export function randomBlocks(dtype: DType, elements: number, seed: number): Uint8Array {
  const random = gaussian(seed);
  const { elements: size, bytes } = blockSizes[dtype];
  const data = Uint8Array.from({ length: (elements / size) * bytes }, () => Math.floor(random() * 1e6));
  for (let block = 0; block < data.length; block += bytes) {
    if (isCheckpointType(dtype)) {
      // A scale of few bits, above a zero point of any byte.
      const zero = data[block]!;
      data.set(storedAs("f32", Float32Array.of(Math.round(100 * random()) / 1024)), block);
      data[block] = zero;
      // E4M3 has two codes for NaN.
      if (dtype.startsWith("f8"))
        for (let i = block + 4; i < block + bytes; i++)
          data[i] = data[i]! & (data[i]! % 128 === 127 ? 254 : 255);
      continue;
    }
    for (const at of scales[dtype]!) data.set(storedAs("f16", Float32Array.of(0.1 * random())), block + at);
  }
  return data;
}

/** A matrix [out, d], or a vector where d is null. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly out: number;
  readonly d: number | null;
  readonly bytes: Uint8Array;
}

/** A model with these tensors and this graph; the tests write the nodes by hand. */
export async function modelOf(
  tensors: Readonly<Record<string, StoredTensor>>,
  graph: Omit<Graph, "name" | "family">,
): Promise<Model> {
  const parts: Uint8Array[] = [];
  let offset = 0;
  const infos = Object.entries(tensors).map(([name, { dtype, out, d, bytes }]) => {
    const padded = new Uint8Array(Math.ceil(bytes.length / 32) * 32);
    padded.set(bytes);
    parts.push(padded);
    offset += padded.length;
    const place = { name, offset: offset - padded.length };
    return isCheckpointType(dtype)
      ? { ...place, name: `${name}.stored`, ne: [padded.length / 4], type: typeNumbers.f32 }
      : { ...place, ne: d === null ? [out] : [d, out], type: typeNumbers[dtype] };
  });
  const file = join(await temporaryFolder(), "model.gguf");
  await writeFile(file, ggufBytes({ tensors: infos, data: Buffer.concat(parts) }));
  const weights = await Weights.open(file);
  // Blocks of quantised checkpoints are of no type that the file has.
  for (const [name, { dtype, out, d, bytes }] of Object.entries(tensors))
    if (isCheckpointType(dtype))
      weights.add({
        ...weights.require(`${name}.stored`),
        name,
        dtype,
        shape: [out, d!],
        bytes: bytes.length,
      });
  return {
    weights,
    graph: { name: "test", family: "test", ...graph },
    tokenizer: null,
    nativeTokenizer: null,
    chat: null,
    tokenizerProblem: null,
    fingerprint: weights.fingerprint(),
  };
}

/** A view of a whole tensor of `modelOf`. */
export function matrixRef(tensor: string, dtype: DType, out: number, d: number) {
  return { tensor, dtype, out, d, transposed: false, first: 0 } as const;
}

/** Reads row `position` of the table: the tests' inputs, one token after another. */
export function inputNode(id: ValueId, tensor: string, tokens: number, d: number): Node {
  const table = matrixRef(tensor, "f32", tokens, d);
  return { kind: "embedding", id, layer: null, index: "position", table, offset: 0, scale: 1 };
}

/** Inputs of every size that f32 has; more than one pass of 16. */
export function hardInputs(tokens: number, d: number): Float32Array {
  const random = gaussian(99);
  const sizes = [1, 0, 1e-41, 1e4, 1e-30];
  return Float32Array.from({ length: tokens * d }, (_, i) => {
    const token = Math.floor(i / d);
    return random() * (token < sizes.length ? sizes[token]! : 1);
  });
}

/** Weights with rows of ordinary, tiny, huge and mostly zero elements; the last two need several rows. */
export function hardWeights(dtype: DType, out: number, d: number): Float32Array {
  const random = gaussian(out * 1000 + d);
  const [tiny, huge] = dtype === "f16" ? [1e-7, 1e4] : [1e-40, 1e30];
  return Float32Array.from({ length: out * d }, (_, i) => {
    const row = Math.floor(i / d) % 4;
    const size = [1, i % 2 === 0 ? tiny : 1, i % 3 === 0 ? huge : 1, i % 5 === 0 ? 1 : 0][row]!;
    return random() * size;
  });
}

/** y = W x: the logits of token t are those of input t. */
export function linearModel(
  inputs: Float32Array,
  tokens: number,
  weight: StoredTensor & { readonly d: number },
): Promise<Model> {
  const { dtype, out, d } = weight;
  const x = { dtype: "f32", out: tokens, d, bytes: storedAs("f32", inputs) } as const;
  const node = {
    kind: "linear",
    id: "logits",
    layer: null,
    input: "x",
    weight: matrixRef("w", dtype, out, d),
    bias: null,
  } as const;
  const nodes = [inputNode("x", "x", tokens, d), node];
  return modelOf({ x, w: weight }, { vocabulary: out, context: tokens, output: "logits", nodes });
}

// -------------------------------------------------------------------------------------------- the gated form

/** Orthonormal rows from `vectors` (Gram-Schmidt, twice), rounded to f16 as a bundle holds them. */
export function orthonormal(vectors: readonly Float64Array[]): Float32Array {
  const rows: Float64Array[] = [];
  for (const vector of vectors) {
    const row = Float64Array.from(vector);
    for (let pass = 0; pass < 2; pass++) {
      for (const other of rows) {
        const along = dot(row, other);
        for (let i = 0; i < row.length; i++) row[i]! -= along * other[i]!;
      }
    }
    const length = Math.sqrt(dot(row, row));
    rows.push(row.map((value) => value / length));
  }
  return asHalf(Float32Array.from(rows.flatMap((row) => [...row])));
}

/**
 * Bases of `k` directions that the first tokens and chance choose, so that rho differs from token to token, and the
 * images M = W V in float64.
 */
export function chosenFactors(model: Model, k: number, ids: readonly number[]): FactorSource {
  const values = evaluateGraph(model.graph, model.weights, ids);
  const bases = new Map<ValueId, Float32Array>();
  const basisOf = (input: ValueId): Float32Array => {
    const known = bases.get(input);
    if (known !== undefined) return known;
    const { data, width } = values.get(input)!;
    const random = gaussian(bases.size + 1);
    const vectors = Array.from({ length: k }, (_, i) =>
      i < 3 ? data.subarray(i * width, (i + 1) * width) : Float64Array.from({ length: width }, random),
    );
    const basis = orthonormal(vectors);
    bases.set(input, basis);
    return basis;
  };
  return {
    ...noFactors,
    basis: async (input) => basisOf(input),
    async *image(linear) {
      const { weight, input } = linearById(model.graph, linear);
      const w = model.weights.readRows(weight, 0, weight.out);
      yield Float32Array.from(product(w, weight.d, basisOf(input)));
    },
  };
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

// ---------------------------------------------------------------------------------------------------- feeding

/** How tokens are fed to a bundle. */
export interface Feeding {
  readonly target: Target;
  readonly mode: Mode;
  readonly threads?: number;
  /** Tokens per pass, over and over. */
  readonly chunks?: readonly number[];
  /** False: no logits are asked for, so that they may be NaN. */
  readonly logits?: boolean;
  /** Variables that are added to this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Evaluates tokens through the C interface; the bits of the logits, and the tokens per tier over all inputs. */
export async function feed(
  bundle: string,
  ids: readonly number[],
  feeding: Feeding,
): Promise<{ logits: Float32Array; fast: number; slow: number }> {
  const { logits = true } = feeding;
  const out = logits ? join(await temporaryFolder(), "logits") : "-";
  const [fast, slow] = (await runFeed(bundle, ids, feeding, [out])) as [number, number];
  const bytes = logits ? await readFile(out) : new Uint8Array();
  return { logits: new Float32Array(Uint8Array.from(bytes).buffer), fast, slow };
}

/** The ids of the `limit` most likely tokens after a prompt, as the C interface generates them. */
export function generate(
  bundle: string,
  prompt: readonly number[],
  limit: number,
  feeding: Feeding,
): Promise<number[]> {
  return runFeed(bundle, prompt, feeding, ["-", String(limit)]);
}

/** Runs feed_test_main.cpp; the numbers that it prints. */
async function runFeed(
  bundle: string,
  ids: readonly number[],
  { target, mode, threads = 1, chunks = [16], environment = {} }: Feeding,
  rest: readonly string[],
): Promise<number[]> {
  const file = join(await temporaryFolder(), "ids");
  await writeFile(file, Int32Array.from(ids));
  const args = [bundle, target.name, mode, String(threads), chunks.join(), file, ...rest];
  const { stdout } = await run(await testProgram("feed"), args, { env: { ...process.env, ...environment } });
  return stdout.trim().split(" ").map(Number);
}

const programs = new Map<string, Promise<string>>();

/** A program `<name>_test_main.cpp` of this folder, linked with the runtime as other programs are. */
export function testProgram(name: string): Promise<string> {
  const known = programs.get(name) ?? buildProgram(name);
  programs.set(name, known);
  return known;
}

/** Kept in the cache, beside the library. */
async function buildProgram(name: string): Promise<string> {
  const library = await buildRuntime("library");
  const { command } = await findCompiler();
  const source = join(packageRoot, `compiler/testing/${name}_test_main.cpp`);
  const hash = createHash("sha256")
    .update(await readFile(source))
    .digest("hex");
  const output = `${library}-${name}-${hash.slice(0, 16)}`;
  if (existsSync(output)) return output;
  const beside = `${output}.${process.pid}`;
  const include = `-I${join(packageRoot, "runtime/include")}`;
  await run(command, ["-std=c++17", "-Wall", "-Wextra", include, source, library, "-ldl", "-o", beside]);
  await rename(beside, output);
  return output;
}
