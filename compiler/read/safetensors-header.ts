import { resolve } from "node:path";
import type { BlockSize, DType, TensorInfo } from "../ir/graph.js";
import { badInput, decodeUtf8, fetchAgain, type OpenFile, readAt, refuseImpostor, withFile } from "./file.js";
import {
  describeJson,
  isJsonObject,
  JsonNumber,
  parseStrictJson,
  type StrictJson,
} from "./safetensors-json.js";
import { checkedBytes, checkedSize, checkedSum, placeOf, rangeFits, type SizeSubject } from "./sizes.js";

/** A tensor of a safetensors file in whatever type it is stored, such as `I64`. */
export interface RawTensorInfo {
  readonly name: string;
  /** The type as the file names it. */
  readonly dtype: string;
  /** Outermost dimension first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Absolute path of the file that holds the data. */
  readonly file: string;
  /** Byte offset of the data in `file`. */
  readonly offset: number;
  readonly bytes: number;
}

/** What the header of a safetensors file says. Nothing here depends on the tensors' data. */
export interface SafetensorsHeader {
  readonly file: string;
  /** Every tensor in the order of its data. */
  readonly tensors: ReadonlyMap<string, RawTensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** A safetensors file (or a set of shards) as a model's weights. */
export interface Safetensors {
  /** Tensors that can be weights: F32, F16 and BF16. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Tensors of other types, such as the U8 or BOOL attention masks in GPT-2 checkpoints. */
  readonly ignored: ReadonlyMap<string, RawTensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The reference reader's limit. */
const maxHeader = 100_000_000;
const maxTensors = 100_000;
const maxDimensions = 8;
const maxName = 1024;

/** Bits of one element of every type that the format knows. */
const typeBits: ReadonlyMap<string, number> = new Map([
  ...(["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"] as const).map(
    (type) => [type, 8] as const,
  ),
  ...(["F4"] as const).map((type) => [type, 4] as const),
  ...(["F6_E2M3", "F6_E3M2"] as const).map((type) => [type, 6] as const),
  ...(["I16", "U16", "F16", "BF16"] as const).map((type) => [type, 16] as const),
  ...(["I32", "U32", "F32"] as const).map((type) => [type, 32] as const),
  ...(["I64", "U64", "F64", "C64"] as const).map((type) => [type, 64] as const),
]);

const weightTypes: ReadonlyMap<string, DType> = new Map([
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
]);

/**
 * Reads the header of a safetensors file and checks everything that can be checked without the data. Absolute
 * alignment is not demanded: the format does not, and old writers did not pad the header (openai-community/gpt2).
 */
export function readSafetensorsHeader(path: string): SafetensorsHeader {
  const file = resolve(path);
  return withFile(file, (opened) => {
    const { text, end } = readHeaderText(opened);
    const root = parseStrictJson(text, file, 8);
    if (!isJsonObject(root)) {
      throw badInput(
        "safetensors-header",
        `the header is ${describeJson(root)}, not an object`,
        `${file}: byte 8`,
        fetchAgain,
      );
    }
    if (root.size > maxTensors) {
      const message = `the header names ${root.size} tensors; more than ${maxTensors} are refused`;
      throw badInput("safetensors-count", message, `${file}: byte 8`, fetchAgain);
    }
    const tensors: RawTensorInfo[] = [];
    let metadata: ReadonlyMap<string, string> = new Map();
    for (const [name, value] of root) {
      if (name === "__metadata__") {
        metadata = parseMetadata(value, file);
      } else {
        checkTensorName(name, file);
        tensors.push(parseTensor(name, value, file, end));
      }
    }
    checkLayout(tensors, opened, end);
    return { file, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), metadata };
  });
}

/** Reads the header of a safetensors file that holds weights; a weight without elements is `tensor-empty`. */
export async function readSafetensors(file: string): Promise<Safetensors> {
  return asWeights(readSafetensorsHeader(file));
}

/** Sorts tensors into weights and others. */
function asWeights(header: SafetensorsHeader): Safetensors {
  const tensors = new Map<string, TensorInfo>();
  const ignored = new Map<string, RawTensorInfo>();
  for (const tensor of header.tensors.values()) {
    const dtype = weightTypes.get(tensor.dtype);
    if (dtype === undefined) {
      ignored.set(tensor.name, tensor);
      continue;
    }
    if (tensor.bytes === 0) {
      const message = `a weight of shape [${tensor.shape.join(", ")}] has no elements`;
      throw badInput(
        "tensor-empty",
        message,
        placeOf({ file: header.file, tensor: tensor.name }),
        "the checkpoint is incomplete, or sharded by another program; fetch it again",
      );
    }
    tensors.set(tensor.name, { ...tensor, dtype });
  }
  return { tensors, ignored, metadata: header.metadata };
}

/** Refuses names that are empty, very long, hold control characters, or mean something to JavaScript objects. */
export function checkTensorName(name: string, file: string): void {
  const reason =
    name === ""
      ? "is empty"
      : name.length > maxName
        ? `is longer than ${maxName} characters`
        : hasControlCharacter(name)
          ? "holds a control character"
          : ["__proto__", "constructor", "prototype"].includes(name)
            ? "is reserved in JavaScript"
            : undefined;
  if (reason !== undefined) {
    const shown = JSON.stringify(name.slice(0, 80));
    throw badInput(
      "tensor-name",
      `a tensor's name ${reason}: ${shown}`,
      `${file}: tensor ${shown}`,
      "rename the tensor in the checkpoint",
    );
  }
}

function hasControlCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0) || unit === 0x2028 || unit === 0x2029) {
      return true;
    }
  }
  return false;
}

function readHeaderText(opened: OpenFile): { text: string; end: number } {
  const { file, size } = opened;
  if (size === 0) {
    throw badInput("file-empty", "the file is empty", file, "the download did not finish; fetch it again");
  }
  const head = readAt(opened, 0, Math.min(size, 512));
  refuseImpostor(file, head);
  refuseOtherFormat(file, head);
  if (size < 8) {
    throw badInput(
      "safetensors-truncated",
      `${size} bytes are too short for a safetensors file`,
      `${file}: byte ${size}`,
      "the download did not finish; fetch the file again",
    );
  }
  const length = new DataView(head.buffer).getBigUint64(0, true);
  if (length > maxHeader) {
    const message = `the header length is ${length}; more than ${maxHeader} is refused`;
    throw badInput("safetensors-header-length", message, `${file}: byte 0`, "this is not a safetensors file");
  }
  const bytes = Number(length);
  if (!rangeFits(8, bytes, size, { file })) {
    const message = `the header of ${bytes} bytes is longer than the file of ${size} bytes`;
    throw badInput("safetensors-truncated", message, `${file}: byte 0`, "fetch the file again");
  }
  const header = readAt(opened, 8, bytes);
  if (header[0] !== 0x7b) {
    throw badInput("safetensors-header", "the header does not begin with {", `${file}: byte 8`, fetchAgain);
  }
  return { text: decodeUtf8(header, file, 8), end: 8 + bytes };
}

function refuseOtherFormat(file: string, head: Uint8Array): void {
  const magic = Buffer.from(head.subarray(0, 4)).toString("latin1");
  if (magic === "GGUF") {
    const hint = "give the file the ending .gguf and name it as the source";
    throw badInput("safetensors-magic", "a GGUF file, not safetensors", `${file}: byte 0`, hint);
  }
  if (magic.startsWith("PK\u0003\u0004")) {
    const hint = "convert it: safetensors.torch.save_file(state_dict, …)";
    throw badInput("safetensors-magic", "a PyTorch or zip archive, not safetensors", `${file}: byte 0`, hint);
  }
}

function parseMetadata(value: StrictJson, file: string): ReadonlyMap<string, string> {
  const wrong = (what: string) =>
    badInput(
      "safetensors-metadata",
      `__metadata__ must map text to text; ${what}`,
      `${file}: key "__metadata__"`,
      "write it again with the safetensors library, metadata as text",
    );
  if (!isJsonObject(value)) {
    throw wrong(`it is ${describeJson(value)}`);
  }
  const metadata = new Map<string, string>();
  for (const [key, entry] of value) {
    if (typeof entry !== "string") {
      throw wrong(`${JSON.stringify(key)} is ${describeJson(entry)}`);
    }
    metadata.set(key, entry);
  }
  return metadata;
}

function parseTensor(name: string, value: StrictJson, file: string, dataStart: number): RawTensorInfo {
  const subject: SizeSubject = { file, tensor: name };
  const wrong = (message: string) => badInput("safetensors-tensor", message, placeOf(subject), fetchAgain);
  if (!isJsonObject(value)) {
    throw wrong(`the entry is ${describeJson(value)}, not an object`);
  }
  for (const key of value.keys()) {
    if (key !== "dtype" && key !== "shape" && key !== "data_offsets") {
      throw wrong(`unknown key ${JSON.stringify(key)}`);
    }
  }
  const dtype = value.get("dtype");
  if (typeof dtype !== "string") {
    throw wrong(`dtype is ${describeJson(dtype)}, not text`);
  }
  const bits = typeBits.get(dtype);
  if (bits === undefined) {
    const known = [...typeBits.keys()].join(", ");
    throw badInput(
      "tensor-type",
      `unknown type ${JSON.stringify(dtype)}`,
      placeOf(subject),
      `known types: ${known}`,
    );
  }
  const shape = wholeNumbers(value.get("shape"), "shape", subject);
  if (shape.length > maxDimensions) {
    throw wrong(`${shape.length} dimensions; at most ${maxDimensions} are supported`);
  }
  const offsets = wholeNumbers(value.get("data_offsets"), "data_offsets", subject);
  const [begin, end] = offsets;
  if (offsets.length !== 2 || begin === undefined || end === undefined || begin > end) {
    throw wrong(`data_offsets [${offsets.join(", ")}] are not [begin, end]`);
  }
  const expected = checkedBytes(shape, blockOf(bits), subject);
  if (expected !== end - begin) {
    const message = `shape [${shape.join(", ")}] of ${dtype} takes ${expected} bytes, but data_offsets span ${end - begin}`;
    throw badInput("tensor-size", message, placeOf(subject), "the file is damaged; fetch it again");
  }
  const offset = checkedSum([dataStart, begin], "offset", subject);
  return { name, dtype, shape, file, offset, bytes: expected };
}

/** Types below a byte must fill whole bytes along the last dimension. */
function blockOf(bits: number): BlockSize {
  return bits === 4
    ? { elements: 2, bytes: 1 }
    : bits === 6
      ? { elements: 4, bytes: 3 }
      : { elements: 1, bytes: bits / 8 };
}

function wholeNumbers(value: StrictJson | undefined, what: string, subject: SizeSubject): number[] {
  if (!Array.isArray(value)) {
    throw badInput(
      "safetensors-tensor",
      `${what} is ${describeJson(value)}, not an array`,
      placeOf(subject),
      fetchAgain,
    );
  }
  return value.map((item: StrictJson) => {
    const whole = item instanceof JsonNumber ? item.whole : undefined;
    if (whole === undefined) {
      const message = `${what} holds ${describeJson(item)}, not a whole number from 0 to 2^53 in plain digits`;
      throw badInput("tensor-shape", message, placeOf(subject), fetchAgain);
    }
    return checkedSize(whole, what, subject);
  });
}

/** Sorts tensors by their data, which must cover the file from the header to its end without holes or overlaps. */
function checkLayout(tensors: RawTensorInfo[], opened: OpenFile, dataStart: number): void {
  tensors.sort((left, right) => left.offset - right.offset || left.bytes - right.bytes);
  let end = dataStart;
  for (const tensor of tensors) {
    if (tensor.offset !== end) {
      const what = tensor.offset < end ? "overlaps the tensor before it" : "leaves a hole before it";
      const subject = { file: opened.file, tensor: tensor.name, offset: tensor.offset };
      throw badInput(
        "tensor-layout",
        `its data ${what} (which ends at byte ${end})`,
        placeOf(subject),
        "the file is damaged, or was made by a broken converter; fetch or convert it again",
      );
    }
    end = checkedSum([end, tensor.bytes], "end of the data", { file: opened.file, tensor: tensor.name });
  }
  if (end > opened.size) {
    const message = `the tensors need ${end} bytes, but the file has ${opened.size}`;
    throw badInput(
      "safetensors-truncated",
      message,
      `${opened.file}: byte ${opened.size}`,
      "fetch the file again",
    );
  }
  if (end < opened.size) {
    const message = `${opened.size - end} bytes follow the last tensor`;
    throw badInput("safetensors-trailing", message, `${opened.file}: byte ${end}`, "fetch the file again");
  }
}
