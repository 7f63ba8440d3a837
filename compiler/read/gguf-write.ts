import { GsicError } from "../support/errors.js";
import { type OpenFile, readAt, withFile, writeAtomically } from "./file.js";
import { GgufCursor } from "./gguf-cursor.js";
import { readKeyCount, readValue } from "./gguf-metadata.js";
import { type GgufType, writtenTypes } from "./gguf-types.js";

/** A metadata value with the type that it is stored in. */
export type GgufField =
  | { readonly type: "u32" | "i32" | "f32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "i32s" | "f32s"; readonly value: readonly number[] };

/** Metadata by key: the type of each value, and the value, as bytes. */
export type GgufEntries = ReadonlyMap<string, Uint8Array>;

/** A tensor that is to be written. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  /** Outermost first; GGUF has them the other way round. */
  readonly shape: readonly number[];
  /** Its bytes, in parts. */
  readonly data: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** The format's numbers of the types of values. */
const valueTypes = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;

/** Little-endian numbers. */
const numbers = {
  u32: (value: number) => packed(4, (view) => view.setUint32(0, value, true)),
  i32: (value: number) => packed(4, (view) => view.setInt32(0, value, true)),
  f32: (value: number) => packed(4, (view) => view.setFloat32(0, value, true)),
  u64: (value: number) => packed(8, (view) => view.setBigUint64(0, BigInt(value), true)),
} as const;

function packed(bytes: number, put: (view: DataView) => void): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  put(view);
  return new Uint8Array(view.buffer);
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return Buffer.concat([numbers.u64(bytes.length), bytes]);
}

/** The bytes of a value, with its type in front. */
export function encodeField(field: GgufField): Uint8Array {
  const list = (type: "i32" | "f32" | "string", parts: readonly Uint8Array[]) =>
    Buffer.concat([
      numbers.u32(valueTypes.array),
      numbers.u32(valueTypes[type]),
      numbers.u64(parts.length),
      ...parts,
    ]);
  switch (field.type) {
    case "u32":
    case "i32":
    case "f32":
      return Buffer.concat([numbers.u32(valueTypes[field.type]), numbers[field.type](field.value)]);
    case "bool":
      return Buffer.concat([numbers.u32(valueTypes.bool), Uint8Array.of(field.value ? 1 : 0)]);
    case "string":
      return Buffer.concat([numbers.u32(valueTypes.string), text(field.value)]);
    case "strings":
      return list("string", field.value.map(text));
    case "i32s":
      return list("i32", field.value.map(numbers.i32));
    case "f32s":
      return list("f32", field.value.map(numbers.f32));
    default:
      return field satisfies never;
  }
}

/** The metadata of a GGUF file as it is stored. Throws `gguf-*` errors. */
export function readGgufEntries(file: string): GgufEntries {
  return withFile(file, (opened: OpenFile) => {
    const cursor = new GgufCursor(opened);
    cursor.position = 16;
    const count = readKeyCount(cursor);
    const entries = new Map<string, Uint8Array>();
    for (let index = 0; index < count; index++) {
      const key = cursor.string("a metadata key", 65_535);
      const begin = cursor.position;
      readValue(cursor, key);
      entries.set(key, readAt(opened, begin, cursor.position - begin));
    }
    return entries;
  });
}

/** What every tensor's data begins at a multiple of, unless the metadata says otherwise. */
export const defaultAlignment = 32;

/**
 * Writes a GGUF file of version 3, so that the old file stays until the new one is whole. `alignment` must be what the
 * metadata says. Data that does not fit its tensor is a defect.
 */
export async function writeGguf(
  file: string,
  entries: GgufEntries,
  tensors: readonly GgufTensor[],
  alignment = defaultAlignment,
): Promise<void> {
  let offset = 0;
  const directory = tensors.map((tensor) => {
    const { name, type, shape } = tensor;
    const dimensions = shape.toReversed().map(numbers.u64);
    const { number } = writtenTypes[type];
    const entry = [
      text(name),
      numbers.u32(shape.length),
      ...dimensions,
      numbers.u32(number),
      numbers.u64(offset),
    ];
    offset = aligned(offset + bytesOf(tensor), alignment);
    return Buffer.concat(entry);
  });
  const head = Buffer.concat([
    new TextEncoder().encode("GGUF"),
    numbers.u32(3),
    numbers.u64(tensors.length),
    numbers.u64(entries.size),
    ...[...entries].flatMap(([key, value]) => [text(key), value]),
    ...directory,
  ]);
  await writeAtomically(file, chunksOf(file, head, tensors, alignment));
}

async function* chunksOf(
  file: string,
  head: Uint8Array,
  tensors: readonly GgufTensor[],
  alignment: number,
): AsyncGenerator<Uint8Array> {
  const padding = (length: number) => new Uint8Array(aligned(length, alignment) - length);
  yield head;
  yield padding(head.length);
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    let written = 0;
    for await (const part of tensor.data()) {
      written += part.length;
      yield part;
    }
    if (written !== bytes) {
      const message = `the tensor ${JSON.stringify(tensor.name)} has ${written} bytes of ${bytes}`;
      throw new GsicError({ category: "defect", code: "gguf-misuse", message, where: file });
    }
    yield padding(bytes);
  }
}

/** Bytes of a tensor's data; rows are whole blocks. */
export function bytesOf({ type, shape }: Pick<GgufTensor, "type" | "shape">): number {
  const { elements, bytes } = writtenTypes[type];
  return (shape.reduce((product, length) => product * length, 1) / elements) * bytes;
}

function aligned(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
