import { GsicError } from "../support/errors.js";
import { dequantize } from "./dequantize.js";
import { badInput, closeQuietly, openFile, readAt, writeAtomically } from "./file.js";
import { checkTensorName, type RawTensorInfo, readSafetensorsHeader } from "./safetensors-header.js";
import { checkedElements, checkedProduct, placeOf } from "./sizes.js";

/** Data of one tensor, or a part of it. F16 is given as its bits. */
export type TensorData = Float32Array | Uint16Array | Int32Array | BigInt64Array;

/** Types that `writeSafetensors` writes, and the array that holds each. */
const written = {
  F32: { bytes: 4, array: Float32Array },
  F16: { bytes: 2, array: Uint16Array },
  I32: { bytes: 4, array: Int32Array },
  I64: { bytes: 8, array: BigInt64Array },
} as const;

/** A tensor to be written. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: keyof typeof written;
  readonly shape: readonly number[];
  /** All data in row-major order, or a function that yields it in parts so that it need not all be in memory. */
  readonly data: TensorData | (() => Iterable<TensorData> | AsyncIterable<TensorData>);
}

/** A tensor in memory. */
export interface LoadedTensor {
  readonly name: string;
  /** The type as the file names it; F16 and BF16 are widened into a Float32Array. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;
}

/** A small safetensors file, read whole. */
export interface LoadedTensors {
  readonly tensors: ReadonlyMap<string, LoadedTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Writes a safetensors file atomically. Tensors are laid out by falling element size, then in the given order, so
 * that each is aligned; the same input gives the same bytes. Data that does not fit its shape is a defect.
 */
export async function writeSafetensors(
  file: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> | ReadonlyMap<string, string> = {},
): Promise<void> {
  const sorted = [...tensors].sort((left, right) => written[right.dtype].bytes - written[left.dtype].bytes);
  const entries: [string, unknown][] = [];
  const pairs = metadata instanceof Map ? [...metadata] : Object.entries(metadata);
  if (pairs.length > 0) {
    entries.push(["__metadata__", Object.fromEntries(pairs)]);
  }
  let end = 0;
  const names = new Set<string>();
  for (const { name, dtype, shape } of sorted) {
    checkTensorName(name, file);
    if (names.has(name)) {
      throw misuse(file, `the tensor ${JSON.stringify(name)} is given twice`);
    }
    names.add(name);
    const begin = end;
    end += sizeOf(file, name, dtype, shape);
    entries.push([name, { dtype, shape, data_offsets: [begin, end] }]);
  }
  await writeAtomically(file, chunksOf(file, headerBytes(entries), sorted));
}

/** Reads a small safetensors file whole: F32, F64, I32, I64, U8, BOOL, and F16 and BF16 widened to f32. */
export async function readTensors(file: string): Promise<LoadedTensors> {
  const header = readSafetensorsHeader(file);
  const opened = openFile(file);
  try {
    const tensors = new Map<string, LoadedTensor>();
    for (const info of header.tensors.values()) {
      const data = typedData(info, readAt(opened, info.offset, info.bytes));
      tensors.set(info.name, { name: info.name, dtype: info.dtype, shape: info.shape, data });
    }
    return { tensors, metadata: header.metadata };
  } finally {
    closeQuietly(opened.descriptor);
  }
}

function headerBytes(entries: readonly (readonly [string, unknown])[]): Uint8Array {
  const members = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return bytes;
}

async function* chunksOf(
  file: string,
  header: Uint8Array,
  tensors: readonly TensorToWrite[],
): AsyncGenerator<Uint8Array> {
  yield header;
  for (const { name, dtype, shape, data } of tensors) {
    let left = sizeOf(file, name, dtype, shape);
    for await (const part of typeof data === "function" ? data() : [data]) {
      if (!(part instanceof written[dtype].array) || part.byteLength > left) {
        throw misuse(file, `the data of ${JSON.stringify(name)} is not ${dtype} [${shape.join(", ")}]`);
      }
      left -= part.byteLength;
      yield new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    }
    if (left > 0) {
      throw misuse(
        file,
        `the data of ${JSON.stringify(name)} is ${left} bytes short of [${shape.join(", ")}]`,
      );
    }
  }
}

function sizeOf(file: string, tensor: string, dtype: keyof typeof written, shape: readonly number[]): number {
  const subject = { file, tensor };
  return checkedProduct([checkedElements(shape, subject), written[dtype].bytes], "size in bytes", subject);
}

function typedData(info: RawTensorInfo, bytes: Uint8Array): LoadedTensor["data"] {
  const buffer = bytes.buffer as ArrayBuffer;
  switch (info.dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return new Float64Array(buffer);
    case "I32":
      return new Int32Array(buffer);
    case "I64":
      return new BigInt64Array(buffer);
    case "U8":
    case "BOOL":
      return bytes;
    case "F16":
      return dequantize("f16", bytes, bytes.length / 2);
    case "BF16":
      return dequantize("bf16", bytes, bytes.length / 2);
    default: {
      const place = placeOf({ file: info.file, tensor: info.name });
      throw badInput(
        "tensor-type",
        `tensors of type ${info.dtype} are not read here`,
        place,
        "store it as F32 or I64",
      );
    }
  }
}

function misuse(file: string, message: string): GsicError {
  return new GsicError({ category: "defect", code: "safetensors-misuse", message, where: file });
}
