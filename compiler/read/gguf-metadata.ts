import { badInput, fetchAgain } from "./file.js";
import type { GgufCursor } from "./gguf-cursor.js";
import { checkedSize } from "./sizes.js";

/** A metadata value. 64-bit integers are numbers where they are below 2^53, else bigints. */
export type GgufValue = string | number | bigint | boolean | GgufArray;

/** An array of one element type. */
export type GgufArray = readonly string[] | readonly (number | bigint)[] | readonly boolean[];

/** Values by key, such as `general.architecture`. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

type Scalar = string | number | bigint | boolean;

const maxKeys = 100_000;
const maxKey = 65_535;
const maxString = 64 << 20;
const maxArray = 1 << 24;

interface ValueType {
  readonly name: string;
  /** Bytes that a value takes at least. */
  readonly bytes: number;
  readonly read: (cursor: GgufCursor) => Scalar;
}

const arrayType = 9;

const valueTypes: readonly (ValueType | undefined)[] = [
  { name: "u8", bytes: 1, read: (cursor) => cursor.u8() },
  { name: "i8", bytes: 1, read: (cursor) => (cursor.u8() << 24) >> 24 },
  { name: "u16", bytes: 2, read: (cursor) => cursor.u16() },
  { name: "i16", bytes: 2, read: (cursor) => (cursor.u16() << 16) >> 16 },
  { name: "u32", bytes: 4, read: (cursor) => cursor.u32() },
  { name: "i32", bytes: 4, read: (cursor) => cursor.u32() | 0 },
  { name: "f32", bytes: 4, read: (cursor) => cursor.f32() },
  { name: "bool", bytes: 1, read: readBoolean },
  { name: "string", bytes: 8, read: (cursor) => cursor.string("a string", maxString) },
  undefined,
  { name: "u64", bytes: 8, read: (cursor) => narrowed(cursor.u64()) },
  { name: "i64", bytes: 8, read: (cursor) => narrowed(cursor.i64()) },
  { name: "f64", bytes: 8, read: (cursor) => cursor.f64() },
];

/** Bytes that a key with its value takes at least: length, one character, type, one byte. */
const minimumEntry = 8 + 1 + 4 + 1;

/** Reads the count of metadata keys at the cursor. */
export function readKeyCount(cursor: GgufCursor): number {
  return cursor.count("number of metadata keys", minimumEntry, maxKeys);
}

/** Reads `count` keys and values. */
export function readMetadata(cursor: GgufCursor, count: number): GgufMetadata {
  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < count; index++) {
    const start = cursor.position;
    const key = cursor.string("a metadata key", maxKey);
    if (!/^[^\p{Cc}]+$/u.test(key) || key === "__proto__") {
      const shown = JSON.stringify(key.slice(0, 80));
      throw badInput(
        "gguf-key",
        `the metadata key ${shown} is empty, reserved or holds control characters`,
        cursor.place(start),
        fetchAgain,
      );
    }
    if (metadata.has(key)) {
      throw badInput(
        "gguf-duplicate-key",
        `the metadata key ${JSON.stringify(key)} stands twice`,
        cursor.place(start),
        fetchAgain,
      );
    }
    metadata.set(key, readValue(cursor, key));
  }
  return metadata;
}

/** Reads a value, behind its key. */
export function readValue(cursor: GgufCursor, key: string): GgufValue {
  const start = cursor.position;
  const code = cursor.u32();
  if (code !== arrayType) {
    return typeOf(code, cursor, start, key).read(cursor);
  }
  const elementStart = cursor.position;
  const elementCode = cursor.u32();
  if (elementCode === arrayType) {
    const message = `the value of ${JSON.stringify(key)} is an array of arrays, which gsic does not read`;
    throw badInput(
      "gguf-nested-array",
      message,
      cursor.place(elementStart),
      "write the key as one flat array, or leave it out: no model needs it",
    );
  }
  const type = typeOf(elementCode, cursor, elementStart, key);
  const length = cursor.count(`length of the array ${JSON.stringify(key)}`, type.bytes, maxArray);
  const items: Scalar[] = [];
  for (let index = 0; index < length; index++) {
    items.push(type.read(cursor));
  }
  return items as GgufArray;
}

function typeOf(code: number, cursor: GgufCursor, start: number, key: string): ValueType {
  const type = valueTypes[code];
  if (type === undefined) {
    const message = `the value of ${JSON.stringify(key)} has the unknown type ${code}`;
    throw badInput(
      "gguf-value-type",
      message,
      cursor.place(start),
      "this gsic is older than the file, or the file is damaged; fetch it again",
    );
  }
  return type;
}

function readBoolean(cursor: GgufCursor): boolean {
  const start = cursor.position;
  const value = cursor.u8();
  if (value > 1) {
    throw badInput(
      "gguf-boolean",
      `a boolean is stored as ${value}, not 0 or 1`,
      cursor.place(start),
      fetchAgain,
    );
  }
  return value === 1;
}

function narrowed(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** What the typed getters need of a GGUF file. */
interface MetadataSource {
  readonly file: string;
  readonly metadata: GgufMetadata;
}

/** The whole number from 0 under `key`; undefined where the key is missing; `gguf-key-type` for another type. */
export function metadataCount(source: MetadataSource, key: string): number | undefined {
  const value = metadataNumber(source, key);
  return value === undefined ? undefined : checkedSize(value, `metadata value ${key}`, { file: source.file });
}

/** The number under `key`; undefined where the key is missing; `gguf-key-type` for another type. */
export function metadataNumber(source: MetadataSource, key: string): number | undefined {
  return typed(source, key, "a number", (value): value is number => typeof value === "number");
}

/** The string under `key`; undefined where the key is missing; `gguf-key-type` for another type. */
export function metadataString(source: MetadataSource, key: string): string | undefined {
  return typed(source, key, "text", (value): value is string => typeof value === "string");
}

/** The boolean under `key`; undefined where the key is missing; `gguf-key-type` for another type. */
export function metadataBoolean(source: MetadataSource, key: string): boolean | undefined {
  return typed(source, key, "a boolean", (value): value is boolean => typeof value === "boolean");
}

/** The array of strings under `key`; undefined where the key is missing; `gguf-key-type` for another type. */
export function metadataStrings(source: MetadataSource, key: string): readonly string[] | undefined {
  return typed(source, key, "an array of text", (value): value is readonly string[] =>
    isArrayOf(value, "string"),
  );
}

/** The array of numbers under `key`; undefined where the key is missing; `gguf-key-type` for another type. */
export function metadataNumbers(source: MetadataSource, key: string): readonly number[] | undefined {
  return typed(source, key, "an array of numbers", (value): value is readonly number[] =>
    isArrayOf(value, "number"),
  );
}

function isArrayOf(value: GgufValue, type: "string" | "number"): boolean {
  return Array.isArray(value) && (value as readonly Scalar[]).every((item) => typeof item === type);
}

function typed<T extends GgufValue>(
  source: MetadataSource,
  key: string,
  wanted: string,
  is: (value: GgufValue) => value is T,
): T | undefined {
  const value = source.metadata.get(key);
  if (value === undefined || is(value)) {
    return value;
  }
  const found = Array.isArray(value) ? `an array of ${typeof value[0]}` : `a ${typeof value}`;
  throw badInput(
    "gguf-key-type",
    `${key} must be ${wanted}, but is ${found}`,
    `${source.file}: key ${key}`,
    "convert the model again with a current llama.cpp",
  );
}
