import { resolve } from "node:path";
import type { TensorInfo } from "../ir/graph.js";
import { badInput, fetchAgain, type OpenFile, readAt, refuseImpostor, withFile } from "./file.js";
import { GgufCursor } from "./gguf-cursor.js";
import { type GgufMetadata, metadataCount, readKeyCount, readMetadata } from "./gguf-metadata.js";
import { type GgufType, otherTypes, typesByNumber, writtenTypes } from "./gguf-types.js";
import { widenedBytes } from "./iq4-nl.js";
import { checkTensorName } from "./safetensors-header.js";
import { checkedBytes, checkedPadding, checkedSum, placeOf, rangeFits } from "./sizes.js";

export {
  type GgufArray,
  type GgufMetadata,
  type GgufValue,
  metadataBoolean,
  metadataCount,
  metadataNumber,
  metadataNumbers,
  metadataString,
  metadataStrings,
} from "./gguf-metadata.js";

/**
 * GGUF versions 2 and 3, little-endian: metadata and tensor directory.
 *
 * This is a parser of its own, not `@huggingface/gguf`, which is the oracle of the tests. Measured on 0.4.6, that
 * package takes the zeros that pad its 2 MB chunks for data: it accepts a 24-byte file that declares 50 keys, fills a
 * string that passes the end of the file with NULs, and makes a million zeros of an array that is not there; 24 bytes
 * that declare ten million tensors take it 4 s and 0.4 GB. It keeps the last of duplicate keys, assigns `__proto__`
 * into an object, and gives no byte offsets. Checking all that beforehand needs a walk of the same header.
 */
export interface Gguf {
  readonly file: string;
  readonly version: number;
  readonly metadata: GgufMetadata;
  /** By name, in the order of the data. Shapes are outermost first: GGUF's dimensions reversed. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** What every tensor's offset is a multiple of, from the start of the data. */
  readonly alignment: number;
  /** Byte offset where the tensors' data starts. */
  readonly dataStart: number;
  /** Byte offset where the tensor directory ends. */
  readonly headerEnd: number;
}

const defaultAlignment = 32;
const maxAlignment = 1 << 20;
const maxTensors = 100_000;
const maxDimensions = 4;
/** Bytes that a directory entry takes at least: name, dimension count, one dimension, type, offset. */
const minimumEntry = 8 + 1 + 4 + 8 + 4 + 8;

/** A directory entry before its offset is made absolute. */
interface Entry {
  readonly name: string;
  readonly type: GgufType;
  readonly shape: readonly number[];
  readonly relative: number;
  /** In the file. */
  readonly bytes: number;
}

/** Reads and checks the metadata and the tensor directory of a GGUF file; touches no tensor data. */
export async function readGguf(path: string): Promise<Gguf> {
  const file = resolve(path);
  return withFile(file, (opened) => {
    const version = readVersion(opened);
    const cursor = new GgufCursor(opened);
    cursor.position = 8;
    const tensorCount = cursor.count("number of tensors", minimumEntry, maxTensors);
    const keyCount = readKeyCount(cursor);
    const metadata = readMetadata(cursor, keyCount);
    refuseSplit(file, metadata);
    const alignment = alignmentOf(file, metadata);
    const entries = readDirectory(cursor, tensorCount);
    const headerEnd = cursor.position;
    const dataStart = checkedPadding(headerEnd, alignment, "start of the data", { file });
    const tensors = placeTensors(opened, entries, dataStart, alignment);
    return { file, version, metadata, tensors, alignment, dataStart, headerEnd };
  });
}

function readVersion(opened: OpenFile): number {
  const { file, size } = opened;
  if (size === 0) {
    throw badInput("file-empty", "the file is empty", file, "the download did not finish; fetch it again");
  }
  const head = readAt(opened, 0, Math.min(size, 512));
  refuseImpostor(file, head);
  const magic = Buffer.from(head.subarray(0, 4)).toString("latin1");
  if (magic !== "GGUF".slice(0, magic.length)) {
    const old = ["ggml", "lmgg", "ggjt", "tjgg", "ggmf", "fmgg", "ggla", "algg"].includes(magic);
    const what = old
      ? "a file of GGUF's predecessor GGML"
      : `not a GGUF file: it begins with ${JSON.stringify(magic)}`;
    const hint = "a folder with safetensors is named as a folder; a GGUF file must begin with GGUF";
    throw badInput("gguf-magic", what, `${file}: byte 0`, hint);
  }
  if (size < 24) {
    const message = `${size} bytes are too short for a GGUF file`;
    throw badInput("gguf-truncated", message, `${file}: byte ${size}`, "fetch the file again");
  }
  const version = new DataView(head.buffer).getUint32(4, true);
  if (version !== 0 && version % 65536 === 0) {
    const hint = "convert it with gguf-py's gguf_convert_endian.py";
    throw badInput("gguf-big-endian", "a big-endian GGUF file", `${file}: byte 4`, hint);
  }
  if (version !== 2 && version !== 3) {
    const message = `GGUF version ${version} is not supported; 2 and 3 are`;
    const hint =
      version < 2 ? "convert the model again with a current llama.cpp" : "this gsic is older than the file";
    throw badInput("gguf-version", message, `${file}: byte 4`, hint);
  }
  return version;
}

function refuseSplit(file: string, metadata: GgufMetadata): void {
  const parts = metadataCount({ file, metadata }, "split.count");
  if (parts !== undefined && parts > 1) {
    const message = `one of ${parts} parts of a split model`;
    throw badInput(
      "gguf-split",
      message,
      `${file}: key split.count`,
      "join them with: llama-gguf-split --merge",
    );
  }
}

function alignmentOf(file: string, metadata: GgufMetadata): number {
  const alignment = metadataCount({ file, metadata }, "general.alignment") ?? defaultAlignment;
  const isPowerOfTwo = alignment > 0 && Number.isInteger(Math.log2(alignment));
  if (!isPowerOfTwo || alignment > maxAlignment) {
    const message = `the alignment is ${alignment}, not a power of two from 1 to ${maxAlignment}`;
    throw badInput(
      "gguf-alignment",
      message,
      `${file}: key general.alignment`,
      "convert the model again with a current llama.cpp",
    );
  }
  return alignment;
}

function readDirectory(cursor: GgufCursor, count: number): Entry[] {
  const entries: Entry[] = [];
  const names = new Set<string>();
  const unsupported: string[] = [];
  let firstUnsupported = "";
  for (let index = 0; index < count; index++) {
    const start = cursor.position;
    const name = cursor.string("a tensor's name", 65_535);
    checkTensorName(name, cursor.file);
    if (names.has(name)) {
      throw badInput(
        "gguf-duplicate-tensor",
        `the tensor ${JSON.stringify(name)} stands twice`,
        cursor.place(start),
        fetchAgain,
      );
    }
    names.add(name);
    const shape = readShape(cursor, name);
    const typeStart = cursor.position;
    const number = cursor.u32();
    const relative = cursor.size(`offset of tensor ${JSON.stringify(name)}`);
    const type = typesByNumber.get(number);
    if (type === undefined) {
      firstUnsupported ||= placeOf({ file: cursor.file, tensor: name, offset: typeStart });
      unsupported.push(
        `${JSON.stringify(name)} is ${otherTypes.get(number) ?? `of unknown type ${number}`} (byte ${typeStart})`,
      );
      continue;
    }
    const bytes = checkedBytes(shape, writtenTypes[type], { file: cursor.file, tensor: name, offset: start });
    entries.push({ name, type, shape, relative, bytes });
  }
  if (unsupported.length > 0) {
    const more = unsupported.length > 3 ? `; ${unsupported.length} tensors in all` : "";
    const message = `tensors of types that gsic does not read: ${unsupported.slice(0, 3).join(", ")}${more}`;
    const types = Object.keys(writtenTypes)
      .map((type) => type.toUpperCase())
      .join(", ");
    const hint = `quantise the model to one of ${types}, such as: llama-quantize in.gguf out.gguf Q8_0`;
    throw badInput("tensor-type", message, firstUnsupported, hint);
  }
  return entries;
}

function readShape(cursor: GgufCursor, name: string): number[] {
  const start = cursor.position;
  const subject = { file: cursor.file, tensor: name, offset: start };
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > maxDimensions) {
    throw badInput(
      "tensor-shape",
      `${dimensions} dimensions; 1 to ${maxDimensions} are allowed`,
      placeOf(subject),
      fetchAgain,
    );
  }
  const shape: number[] = [];
  for (let index = 0; index < dimensions; index++) {
    shape.unshift(cursor.size(`dimension ${index} of tensor ${JSON.stringify(name)}`));
  }
  if (shape.includes(0)) {
    throw badInput(
      "tensor-empty",
      `a weight of shape [${shape.join(", ")}] has no elements`,
      placeOf(subject),
      "the checkpoint is incomplete; fetch or convert it again",
    );
  }
  return shape;
}

/** Makes offsets absolute. Data must follow each other with only padding between, and end with the file. */
function placeTensors(
  opened: OpenFile,
  entries: Entry[],
  dataStart: number,
  alignment: number,
): ReadonlyMap<string, TensorInfo> {
  const { file, size } = opened;
  const tensors = new Map<string, TensorInfo>();
  entries.sort((left, right) => left.relative - right.relative);
  let end = dataStart;
  let expected = dataStart;
  for (const { name, type, shape, relative, bytes } of entries) {
    const subject = { file, tensor: name };
    const offset = checkedSum([dataStart, relative], "offset", subject);
    if (relative % alignment !== 0) {
      const message = `its offset ${relative} is not a multiple of the alignment ${alignment}`;
      throw badInput(
        "tensor-layout",
        message,
        placeOf({ ...subject, offset }),
        "the file is damaged, or was made by a broken converter; fetch or convert it again",
      );
    }
    if (offset !== expected) {
      const what = offset < expected ? "overlaps the tensor before it" : "leaves a hole before it";
      const message = `its data ${what} (byte ${expected} was expected)`;
      throw badInput(
        "tensor-layout",
        message,
        placeOf({ ...subject, offset }),
        "the file is damaged, or was made by a broken converter; fetch or convert it again",
      );
    }
    end = checkedSum([offset, bytes], "end of the data", subject);
    if (!rangeFits(offset, bytes, size, subject)) {
      const message = `its data ends at byte ${end}, but the file has ${size}`;
      throw badInput("gguf-truncated", message, placeOf({ ...subject, offset }), "fetch the file again");
    }
    expected = checkedPadding(end, alignment, "padded end of the data", subject);
    const place = { name, shape, file, offset };
    tensors.set(
      name,
      type === "iq4_nl"
        ? { ...place, dtype: "q8_0", bytes: widenedBytes(bytes), widened: type }
        : { ...place, dtype: type, bytes },
    );
  }
  if (size > expected) {
    const message = `${size - expected} bytes follow the last tensor`;
    throw badInput("gguf-trailing", message, `${file}: byte ${expected}`, "fetch the file again");
  }
  return tensors;
}
