/** Helpers of the tests of kernels at few bits: matrices, their float64 oracle, and a way to run the kernels. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cachedCompile, objectPath } from "../cc/cache.js";
import { compileKernels, findCompiler } from "../cc/index.js";
import type { Target } from "../config/target.js";
import { dotCoresOf } from "../emit/cores.js";
import { factorQuantizer } from "../ir/forms.js";
import type { Quantizer } from "../ir/plan.js";
import type { Kernel } from "../ir/program.js";
import { packQuantizedTiles } from "../layout/quantized-tiles.js";
import { dequantized, type LowRank, type QuantizedMatrix } from "../layout/quantizer.js";
import { strideOf } from "../layout/stride.js";
import { packageRoot, templatesFolder } from "../support/paths.js";
import { temporaryFolder } from "./fixtures.js";
import { dot, gaussian } from "./kernels.js";

const run = promisify(execFile);

export interface QuantizedShape {
  readonly out: number;
  readonly d: number;
  readonly quantizer: Quantizer;
  readonly rank: number;
}

/** A matrix at few bits with its correction. */
export interface QuantizedCase {
  readonly shape: QuantizedShape;
  readonly matrix: QuantizedMatrix;
  readonly lowRank: LowRank | null;
  /** B^T. */
  readonly correction: QuantizedMatrix | null;
}

/** Random numbers of the whole range of each field; row scales of many sizes. */
export function randomMatrix(out: number, d: number, quantizer: Quantizer, seed: number): QuantizedMatrix {
  const random = gaussian(seed);
  const any = () => Math.floor(Math.abs(random()) * 1e6);
  const groups = out * Math.ceil(d / quantizer.group);
  const levels = 2 ** quantizer.bits;
  const sizes = [1, 1e-3, 1e20, 1e-38];
  return {
    q: Uint8Array.from({ length: out * d }, () => any() % levels),
    scales: Int8Array.from({ length: groups }, () => (any() % 256) - 128),
    zeros: quantizer.symmetric ? null : Uint8Array.from({ length: groups }, () => any() % levels),
    rowScales: Float32Array.from({ length: out }, (_, row) => random() * sizes[row % sizes.length]!),
  };
}

export function randomCase(shape: QuantizedShape, seed: number): QuantizedCase {
  const { out, d, quantizer, rank } = shape;
  const random = gaussian(seed + 1);
  return {
    shape,
    matrix: randomMatrix(out, d, quantizer, seed),
    lowRank:
      rank === 0
        ? null
        : {
            a: Int8Array.from({ length: out * rank }, (_, i) => (i % 7 === 0 ? -128 : 40 * random())),
            scales: Float32Array.from({ length: out }, () => 0.01 * random()),
          },
    correction: rank === 0 ? null : correctionMatrix(rank, d, seed + 2),
  };
}

/** B^T; its rows have ordinary sizes, since an orthonormal basis has. */
function correctionMatrix(rank: number, d: number, seed: number): QuantizedMatrix {
  const random = gaussian(seed);
  const rowScales = Float32Array.from({ length: rank }, () => 1e-3 * random());
  return { ...randomMatrix(rank, d, factorQuantizer, seed), rowScales };
}

/** A result of the oracle, and how wrong a kernel may be. */
export interface Bounded {
  readonly value: number;
  readonly bound: number;
}

/**
 * y = Q x + A (B^T x) of one column in float64. The bound: an activation is wrong by 2^-15 of the largest of its block
 * of 32, and counts as zero below 2^-125 of the column's largest; a block's sum is rounded once and added once to an
 * f32, relative to the sizes of its parts.
 */
export function oracle(
  { shape, matrix, lowRank, correction }: QuantizedCase,
  x: Float64Array | Float32Array,
): Bounded[] {
  const exact = Array.from(x, (value) => ({ value, bound: 0 }));
  const y = boundedProduct(shape, matrix, exact);
  if (lowRank === null || correction === null) return y;
  const { out, d, rank } = shape;
  const g = boundedProduct({ out: rank, d, quantizer: factorQuantizer }, correction, exact);
  const a: QuantizedMatrix = {
    q: Uint8Array.from(lowRank.a, (value) => value + 128),
    scales: new Int8Array(out * Math.ceil(rank / 128)).fill(1),
    zeros: null,
    rowScales: lowRank.scales,
  };
  const quantizer = { bits: 8, group: 128, symmetric: true } as const;
  return boundedProduct({ out, d: rank, quantizer }, a, g).map((part, row) => ({
    value: part.value + y[row]!.value,
    bound: part.bound + y[row]!.bound + 2 ** -23 * (Math.abs(part.value) + Math.abs(y[row]!.value)),
  }));
}

function boundedProduct(
  shape: Omit<QuantizedShape, "rank">,
  matrix: QuantizedMatrix,
  x: readonly Bounded[],
): Bounded[] {
  const { out, d } = shape;
  const w = dequantized(matrix, shape.quantizer, d);
  const blocks = Math.ceil(d / 32);
  const largest = Array.from({ length: blocks }, (_, block) =>
    Math.max(...x.slice(32 * block, 32 * block + 32).map(({ value, bound }) => Math.abs(value) + bound)),
  );
  const dropped = 2 ** -125 * Math.max(...largest);
  return Array.from({ length: out }, (_, row) => {
    const weights = w.subarray(row * d, (row + 1) * d);
    const sizes = x.map((_, i) => Math.abs(weights[i]!));
    let bound = 0;
    for (let i = 0; i < d; i++) {
      const rounding = 2 ** -15 * largest[Math.floor(i / 32)]! + dropped + 2 ** -149;
      bound += sizes[i]! * (rounding + x[i]!.bound + (blocks + 6) * 2 ** -23 * Math.abs(x[i]!.value));
    }
    return {
      value: dot(
        weights,
        x.map(({ value }) => value),
      ),
      bound: bound + 2 ** -148,
    };
  });
}

/** The kernel of one product; `pair`: of two matrices, gate and up, of which it stores gate + 2 up. */
export function productKernel(symbol: string, { out, d, quantizer, rank }: QuantizedShape, pair?: Quantizer) {
  const type = ({ bits, group, symmetric }: Quantizer) =>
    `Quantized<${out}, ${d}, ${bits}, ${group}, ${symmetric}, ${rank}>`;
  const basis = rank === 0 ? "" : `, Quantized<${rank}, ${d}, 8, 64, true>(arguments[4])`;
  const place = `y[column * ${out} + row]`;
  const product =
    pair === undefined
      ? `multiply(*worker, ${type(quantizer)}(arguments[3]), columns, input,
           [=](int row, int column, float value) { ${place} = value; });`
      : `multiply_pair(*worker, ${type(quantizer)}(arguments[3]), ${type(pair)}(arguments[5]), columns, input,
           [=](int row, int column, float gate, float up) { ${place} = gate + 2 * up; });`;
  const source = `#include "gsic/quantized.h"
using namespace gsic;
extern "C" void ${symbol}(const gsic_worker *worker, void *const *arguments) {
  const Columns columns = all_columns(*static_cast<const gsic_step *>(arguments[0]));
  auto *y = static_cast<float *>(arguments[2]);
  const QuantizedInput<${d}, ${rank}> input(columns, static_cast<const float *>(arguments[1])${basis});
  ${product}
}
`;
  const quantizers = [
    quantizer,
    ...(rank === 0 ? [] : [factorQuantizer]),
    ...(pair === undefined ? [] : [pair]),
  ];
  const cores = dotCoresOf(quantizers);
  return {
    symbol,
    template: "test",
    summary: "",
    arguments: [],
    launch: null,
    source,
    cores,
  } satisfies Kernel;
}

/** A kernel of a library, on columns x [tokens, d]. */
export interface KernelRun {
  readonly library: string;
  readonly symbol: string;
  readonly out: number;
  readonly d: number;
  readonly x: Float32Array;
  readonly weights: readonly Uint8Array[];
  readonly workers?: number;
  /** Columns per pass, over and over. */
  readonly chunks?: readonly number[];
}

/** y [tokens, out]. */
export async function runKernel(job: KernelRun): Promise<Float32Array> {
  const { library, symbol, out, d, x, weights, workers = 1, chunks = [16] } = job;
  const folder = await temporaryFolder();
  const width = strideOf(d);
  const padded = new Float32Array((x.length / d) * width);
  for (let i = 0; i < x.length; i += d) padded.set(x.subarray(i, i + d), (i / d) * width);
  await writeFile(join(folder, "x"), padded);
  const files = weights.map((_, i) => join(folder, `weights${i}`));
  for (const [i, bytes] of weights.entries()) await writeFile(files[i]!, bytes);
  const y = join(folder, "y");
  const numbers = [workers, chunks.join(), width, out].map(String);
  await run(await runProgram(), [library, symbol, ...numbers, join(folder, "x"), y, ...files]);
  return new Float32Array(Uint8Array.from(await readFile(y)).buffer);
}

/** Kernels for a target as a shared library in a folder; its path. */
export async function testLibrary(
  kernels: readonly Kernel[],
  target: Target,
  folder: string,
): Promise<string> {
  const path = join(folder, `${target.name}.so`);
  await writeFile(path, await compileKernels(kernels, target));
  return path;
}

/** What a kernel of `productKernel` reads. */
export function packedCase({ shape, matrix, lowRank, correction }: QuantizedCase): Uint8Array[] {
  const packed = [Buffer.concat([...packQuantizedTiles(shape, { matrix, lowRank })])];
  if (correction !== null) {
    const of = { out: shape.rank, d: shape.d, quantizer: factorQuantizer, rank: 0 };
    packed.push(Buffer.concat([...packQuantizedTiles(of, { matrix: correction, lowRank: null })]));
  }
  return packed;
}

/** quantized_test_main.cpp, compiled; kept in the cache. */
async function runProgram(): Promise<string> {
  const { command } = await findCompiler();
  const source = join(packageRoot, "compiler/testing/quantized_test_main.cpp");
  const hash = createHash("sha256")
    .update(await readFile(source))
    .digest("hex");
  const program = objectPath(`quantized-test-${hash.slice(0, 32)}`);
  await cachedCompile(program, "quantized_test_main.cpp", async (output) => {
    const include = `-I${join(templatesFolder, "include")}`;
    await run(command, ["-std=c++17", "-Wall", "-Wextra", include, source, "-o", output, "-ldl"]);
  });
  return program;
}
