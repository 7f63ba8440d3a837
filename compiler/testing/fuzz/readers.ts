import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { blockSizes, type DType, type TensorInfo } from "../../ir/graph.js";
import { readGguf } from "../../read/gguf.js";
import { readOnnx } from "../../read/onnx.js";
import type { OnnxTensor } from "../../read/onnx-tensor.js";
import { readSafetensors } from "../../read/safetensors.js";
import { GsicError } from "../../support/errors.js";
import { hostileGguf } from "./gguf.js";
import { hostileOnnx } from "./onnx.js";
import { hostileCheckpoint, readCheckpoint } from "./quantized.js";
import { Random } from "./random.js";
import { hostileSafetensors } from "./safetensors.js";

/** Longest that one input of a few kilobytes may take, in milliseconds. */
const maxTime = 2000;
/** Growth of the process over a run, in bytes, beyond which something is not freed. */
const maxGrowth = 512 << 20;

interface Fuzzer {
  readonly make: (random: Random) => Uint8Array;
  /** Every tensor that a file holds. */
  readonly read: (file: string) => Promise<readonly Located[]>;
}

/** A tensor, and the bytes of its elements where its type is one of ours. */
interface Located extends Omit<TensorInfo, "dtype"> {
  readonly dtype: string;
}

export const fuzzers = {
  safetensors: {
    make: hostileSafetensors,
    read: async (file) => {
      const { tensors, ignored } = await readSafetensors(file);
      return [...tensors.values(), ...ignored.values()];
    },
  },
  gguf: { make: hostileGguf, read: async (file) => [...(await readGguf(file)).tensors.values()] },
  onnx: {
    make: hostileOnnx,
    read: async (file) => [...readOnnx(file).initializers.values()].flatMap(located),
  },
  quantised: { make: hostileCheckpoint, read: readCheckpoint },
} as const satisfies Record<string, Fuzzer>;

/** Where the elements of a tensor lie; empty for one whose elements are in memory, or that is empty. */
function located({ name, element, shape, data }: OnnxTensor): Located[] {
  if (element === null || data === null || !("file" in data) || data.bytes === 0) return [];
  const dtype = ["f32", "f16", "bf16"].includes(element) ? element : element.toUpperCase();
  return [{ name, dtype, shape, ...data }];
}

/** What became of a run's inputs; codes are those of the refusals. */
export interface Outcome {
  readonly inputs: number;
  readonly opened: number;
  readonly refused: number;
  readonly codes: ReadonlyMap<string, number>;
}

/**
 * Reads hostile files `first` to `first + count` of a seed. Throws where one is neither read to tensors that lie in it
 * nor refused as bad data with a place and a next step; that file is saved below `failures`.
 */
export async function fuzz(
  kind: keyof typeof fuzzers,
  { seed, first, count }: { seed: number; first: number; count: number },
  work: string,
  failures: string,
): Promise<Outcome> {
  const { make, read }: Fuzzer = fuzzers[kind];
  const codes = new Map<string, number>();
  const file = join(work, `input.${kind}`);
  const before = process.memoryUsage().rss;
  let opened = 0;
  for (let index = first; index < first + count; index++) {
    const bytes = make(new Random(seed, index));
    try {
      const code = await outcomeOf(bytes, file, read);
      if (code === null) opened++;
      else codes.set(code, (codes.get(code) ?? 0) + 1);
    } catch (cause) {
      mkdirSync(failures, { recursive: true });
      const saved = join(failures, `${kind}-${seed}-${index}`);
      writeFileSync(saved, bytes);
      throw new Error(`${kind}: input ${index} of seed ${seed}, saved as ${saved}: ${String(cause)}`, {
        cause,
      });
    }
  }
  const growth = process.memoryUsage().rss - before;
  if (growth > maxGrowth) throw new Error(`${kind}: the process grew by ${growth} bytes`);
  return { inputs: count, opened, refused: count - opened, codes };
}

/**
 * What becomes of one file: the code of the refusal, or null where it is read. Throws where it is neither read to
 * tensors that lie in it, nor refused as bad data with a place and a next step.
 */
export async function outcomeOf(
  bytes: Uint8Array,
  file: string,
  read: Fuzzer["read"],
): Promise<string | null> {
  writeFileSync(file, bytes);
  const start = performance.now();
  let code: string | null = null;
  try {
    requireSane(await read(file), bytes.length);
  } catch (error) {
    if (!(error instanceof GsicError)) throw error;
    if (error.category !== "data") throw new Error(`category ${error.category}: ${error.message}`);
    if (!error.where?.startsWith(file)) throw new Error(`no place: ${error.code} at ${error.where}`);
    if (!error.hint) throw new Error(`no next step: ${error.code}`);
    code = error.code;
  }
  const time = performance.now() - start;
  if (time > maxTime) throw new Error(`it took ${time} ms`);
  return code;
}

/** Tensors lie in the file, apart from each other, and are as long as their shape and type say. */
function requireSane(tensors: readonly Located[], size: number): void {
  let end = 8;
  for (const { name, dtype, shape, offset, bytes } of [...tensors].sort((a, b) => a.offset - b.offset)) {
    if (name === "" || offset < end || offset + bytes > size)
      throw new Error(`${name} lies at ${offset} + ${bytes}`);
    end = offset + bytes;
    const block = Object.hasOwn(blockSizes, dtype) ? blockSizes[dtype as DType] : undefined;
    const elements = shape.reduce((product, length) => product * length, 1);
    if (block !== undefined && bytes !== (elements / block.elements) * block.bytes)
      throw new Error(`${name} [${shape.join()}] of ${dtype} has ${bytes} bytes`);
  }
}
