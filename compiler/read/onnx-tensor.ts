import { existsSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve } from "node:path";
import { dequantize } from "./dequantize.js";
import { badInput, fetchAgain, readAt, withFile } from "./file.js";
import type { TensorMessage } from "./onnx-schema.js";
import {
  checkedElements,
  checkedProduct,
  checkedSize,
  placeOf,
  rangeFits,
  type SizeSubject,
} from "./sizes.js";

/** Element types by their numbers in onnx.proto, with the bytes of an element. */
const elementTypes: ReadonlyMap<number, readonly [name: OnnxElement, bytes: number]> = new Map([
  [1, ["f32", 4]],
  [2, ["u8", 1]],
  [3, ["i8", 1]],
  [4, ["u16", 2]],
  [5, ["i16", 2]],
  [6, ["i32", 4]],
  [7, ["i64", 8]],
  [9, ["bool", 1]],
  [10, ["f16", 2]],
  [11, ["f64", 8]],
  [12, ["u32", 4]],
  [13, ["u64", 8]],
  [16, ["bf16", 2]],
]);

/** An element type of ONNX whose values gsic can read. */
export type OnnxElement =
  | "f32"
  | "f16"
  | "bf16"
  | "f64"
  | "i8"
  | "i16"
  | "i32"
  | "i64"
  | "u8"
  | "u16"
  | "u32"
  | "u64"
  | "bool";

/** The element type that has this number, or null. */
export function elementTypeOf(number: number): OnnxElement | null {
  return elementTypes.get(number)?.[0] ?? null;
}

/** Whether values of a type are whole numbers or truth values. */
export function isWhole(element: OnnxElement): boolean {
  return !["f32", "f16", "bf16", "f64"].includes(element);
}

/** A constant of a graph: an initializer, or the tensor of an attribute. */
export interface OnnxTensor {
  readonly name: string;
  /** Null: a type that gsic does not read; `typeNumber` is its number in onnx.proto. */
  readonly element: OnnxElement | null;
  readonly typeNumber: number;
  readonly shape: readonly number[];
  /** Where the elements are: in a file, in memory as a file has them, or as numbers. Null where `element` is. */
  readonly data:
    | { readonly file: string; readonly offset: number; readonly bytes: number }
    | { readonly raw: Uint8Array }
    | { readonly numbers: readonly number[] }
    | null;
}

/** Most elements that are read as numbers: constants are tables of angles and masks at most. */
const maxNumbers = 1 << 24;

/**
 * A tensor of a decoded message. `payload` is where its raw bytes lie in `file`, which then are not in the message.
 * Throws `onnx-tensor` where its elements are not as many as its shape has, `onnx-external` for data in other files.
 */
export function tensorOf(
  message: TensorMessage,
  file: string,
  payload: { readonly element: OnnxElement | null; readonly begin: number; readonly end: number } | null,
): OnnxTensor {
  const subject = { file, tensor: message.name };
  const shape = message.dims.map((size) => checkedSize(size, "size of a dimension", subject));
  const elements = checkedElements(shape, subject);
  const { name, dataType: typeNumber } = message;
  const [element, width] = elementTypes.get(typeNumber) ?? [null, 0];
  if (element === null) return { name, element, typeNumber, shape, data: null };
  const bytes = checkedProduct([elements, width], "size in bytes", subject);
  const tensor = { name, element, typeNumber, shape };
  if (message.dataLocation === 1) return { ...tensor, data: externalData(message, bytes, subject) };
  if (payload !== null) {
    if (payload.element !== null && payload.element !== element)
      throw wrongSize(subject, `its elements stand as ${payload.element}, but its type is ${element}`);
    const found = payload.end - payload.begin;
    if (found !== bytes)
      throw wrongSize(subject, `[${shape}] of ${element} takes ${bytes} bytes, not ${found}`);
    return { ...tensor, data: { file, offset: payload.begin, bytes } };
  }
  if (message.rawData.length > 0 || elements === 0) {
    const found = message.rawData.length;
    if (found !== bytes)
      throw wrongSize(subject, `[${shape}] of ${element} takes ${bytes} bytes, not ${found}`);
    return { ...tensor, data: { raw: message.rawData } };
  }
  const numbers = numbersOf(message, element);
  if (numbers.length !== elements)
    throw wrongSize(subject, `[${shape}] has ${elements} elements, and ${numbers.length} are stored`);
  return { ...tensor, data: { numbers } };
}

/** The numbers of a tensor's typed field: halves stand there as the integers of their bits. */
function numbersOf(message: TensorMessage, element: OnnxElement): readonly number[] {
  switch (element) {
    case "f32":
      return message.floatData;
    case "f64":
      return message.doubleData;
    case "i64":
      return message.int64Data;
    case "u32":
    case "u64":
      return message.uint64Data;
    case "f16":
    case "bf16": {
      const bits = new Uint8Array(Uint16Array.from(message.int32Data).buffer);
      return [...dequantize(element, bits, message.int32Data.length)];
    }
    default:
      return message.int32Data;
  }
}

/** The elements of a tensor as numbers. Throws `onnx-constant` where they are more than constants have. */
export function tensorNumbers(tensor: OnnxTensor): Float64Array {
  const { data, element, shape, name } = tensor;
  const elements = shape.reduce((product, length) => product * length, 1);
  if (data === null || element === null || elements > maxNumbers) {
    const message =
      data === null
        ? `the constant ${JSON.stringify(name)} is of a type that gsic does not read (number ${tensor.typeNumber})`
        : `the constant ${JSON.stringify(name)} has ${elements} elements; at most ${maxNumbers} are read`;
    throw badInput("onnx-constant", message, name, "export the model again, as f32 or f16");
  }
  if ("numbers" in data) return Float64Array.from(data.numbers);
  const raw = "raw" in data ? data.raw : withFile(data.file, (file) => readAt(file, data.offset, data.bytes));
  if (element === "f32" || element === "f16" || element === "bf16")
    return Float64Array.from(dequantize(element, Uint8Array.from(raw), elements));
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const width = raw.length / Math.max(1, elements);
  return Float64Array.from({ length: elements }, (_, index) => decoders[element](view, index * width));
}

const decoders: Readonly<
  Record<Exclude<OnnxElement, "f32" | "f16" | "bf16">, (view: DataView, at: number) => number>
> = {
  f64: (view, at) => view.getFloat64(at, true),
  i8: (view, at) => view.getInt8(at),
  i16: (view, at) => view.getInt16(at, true),
  i32: (view, at) => view.getInt32(at, true),
  i64: (view, at) => Number(view.getBigInt64(at, true)),
  u8: (view, at) => view.getUint8(at),
  u16: (view, at) => view.getUint16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  u64: (view, at) => Number(view.getBigUint64(at, true)),
  bool: (view, at) => Number(view.getUint8(at) !== 0),
};

/** Where the elements of a tensor lie in another file, which must be in the model's folder. */
function externalData(message: TensorMessage, bytes: number, subject: SizeSubject): OnnxTensor["data"] {
  const fields = new Map(message.externalData.map(({ key, value }) => [key, value]));
  const location = fields.get("location") ?? "";
  const file = externalFile(location, subject);
  const number = (key: string, fallback: number) => {
    const text = fields.get(key);
    if (text === undefined) return fallback;
    if (/^\d{1,17}$/.test(text)) return checkedSize(Number(text), `${key} of external data`, subject);
    const what = `the ${key} of external data is ${JSON.stringify(text.slice(0, 40))}, not a whole number from 0`;
    throw badInput("size-invalid", what, placeOf(subject), fetchAgain);
  };
  const [offset, length] = [number("offset", 0), number("length", bytes)];
  if (length !== bytes)
    throw wrongSize(subject, `[${message.dims}] takes ${bytes} bytes, and its external data has ${length}`);
  const size = withFile(file, (opened) => opened.size);
  if (!rangeFits(offset, bytes, size, subject)) {
    const what = `its data ends at byte ${offset + bytes} of ${JSON.stringify(location)}, which has ${size}`;
    throw badInput(
      "onnx-external",
      what,
      placeOf(subject),
      "the download did not finish; fetch that file again",
    );
  }
  return { file, offset, bytes };
}

/** Refuses places outside the model's folder: a model that names other files of a machine was made to mislead. */
function externalFile(location: string, subject: SizeSubject): string {
  const folder = dirname(subject.file);
  const file = resolve(folder, location);
  const outside = (from: string, to: string) => /^($|\.\.([\\/]|$))/.test(relative(from, to));
  if (location === "" || isAbsolute(location) || location.includes("\0") || outside(folder, file)) {
    const what = `its data is said to lie in ${JSON.stringify(location.slice(0, 200))}, which is not in the model's folder`;
    throw badInput("onnx-external", what, placeOf(subject), fetchAgain);
  }
  if (!existsSync(file)) {
    const what = `its data lies in ${JSON.stringify(location.slice(0, 200))}, which is missing`;
    throw badInput(
      "onnx-external",
      what,
      placeOf(subject),
      "put that file beside the .onnx file: both belong together",
    );
  }
  const [real, folders] = [realpathSync(file), [realpathSync(folder), dirname(realpathSync(subject.file))]];
  if (folders.every((one) => outside(one, real))) {
    const what = `its data lies in ${JSON.stringify(location.slice(0, 200))}, a link that leads out of the model's folder`;
    throw badInput("onnx-external", what, placeOf(subject), "put the file itself there");
  }
  return file;
}

function wrongSize(subject: SizeSubject, what: string) {
  return badInput("onnx-tensor", what, placeOf(subject), fetchAgain);
}
