import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { blockSizes, type MatrixRef, type TensorInfo, type VectorRef } from "../ir/graph.js";
import { GsicError } from "../support/errors.js";
import { dequantize } from "./dequantize.js";
import { badInput, closeQuietly, type OpenFile, openFile, readAt, readInto } from "./file.js";
import type { GgufMetadata } from "./gguf-metadata.js";
import { readWidened } from "./iq4-nl.js";
import type { OnnxFile } from "./onnx.js";
import { onnxOf } from "./onnx-folder.js";
import { quantizedBytes } from "./quantized-bytes.js";
import { inputOrder, type QuantizedTensor } from "./quantized-linear.js";
import type { QuantizedMatrix } from "./quantized-matrix.js";
import type { RawTensorInfo } from "./safetensors-header.js";
import { transpose } from "./transpose.js";
import { folderContent, ggufContent, onnxContent, type WeightsContent } from "./weights-content.js";

const sampleBytes = 4096;

/**
 * Lazy access to all tensors of a model: a folder with config.json and safetensors, a .gguf file, or an .onnx file. Opening
 * reads headers only; data is read where and when it is asked for, through file descriptors that stay open until `close`.
 */
export class Weights {
  /** Absolute path of the folder or file. */
  readonly source: string;
  readonly kind: WeightsContent["kind"];
  /** The parsed config.json of a folder, or beside an .onnx file. */
  readonly config: Readonly<Record<string, unknown>> | undefined;
  /** The metadata of a GGUF file. */
  readonly metadata: GgufMetadata | undefined;
  /** The graph of an .onnx file. */
  readonly onnx: OnnxFile | undefined;
  /** Tensors of types that cannot be weights, such as the masks in GPT-2 checkpoints. */
  readonly ignored: ReadonlyMap<string, RawTensorInfo>;

  private readonly files = new Map<string, OpenFile>();
  private transposed: { readonly tensor: string; readonly bytes: Uint8Array } | undefined;
  private unpacked: { readonly tensor: QuantizedTensor; readonly matrix: QuantizedMatrix } | undefined;
  private closed = false;
  private readonly made = new Map<string, TensorInfo>();
  private kept: ReadonlySet<string> | null = null;

  private constructor(private readonly content: WeightsContent) {
    this.source = content.source;
    this.kind = content.kind;
    this.config = content.config;
    this.metadata = content.metadata;
    this.onnx = content.onnx;
    this.ignored = content.ignored;
  }

  /** Opens a folder, a .gguf file or an .onnx file and checks its headers. Throws the errors of the readers, and `source-kind`. */
  static async open(source: string): Promise<Weights> {
    const path = resolve(source);
    if (!existsSync(path)) {
      throw badInput("file-missing", "no such file or folder", path, "check `source` in model.toml");
    }
    if (statSync(path).isDirectory()) {
      const onnx = onnxOf(path);
      return new Weights(onnx === null ? await folderContent(path) : onnxContent(onnx));
    }
    if (path.endsWith(".onnx")) return new Weights(onnxContent(path));
    if (path.endsWith(".safetensors")) {
      const hint = "name the folder that holds it and its config.json";
      throw badInput(
        "source-kind",
        "a model is a folder, a .gguf file or an .onnx file, not one .safetensors file",
        path,
        hint,
      );
    }
    return new Weights(await ggufContent(path));
  }

  /** The folder where tokenizer.json and its like are looked for: the source itself, or what an .onnx file lies in. */
  get folder(): string {
    return this.kind === "onnx" ? dirname(this.source) : this.source;
  }

  /** Names of all tensors, sorted. */
  names(): string[] {
    const names = [...this.content.tensors.keys()].sort();
    return this.kept === null ? names : names.filter((name) => this.kept!.has(name));
  }

  /** Forgets all tensors but these: an ONNX graph has tables and masks besides its weights. */
  keep(names: ReadonlySet<string>): void {
    this.kept = names;
  }

  /** What is known of a tensor, or undefined where the model has none of that name. */
  info(name: string): TensorInfo | undefined {
    return this.content.tensors.get(name) ?? this.made.get(name);
  }

  /** Adds a tensor that was made from others: it is read as they are, and is none of the model's own. */
  add(tensor: TensorInfo): void {
    this.made.set(tensor.name, tensor);
  }

  /** Whether the files hold a tensor as integers and scales: it is a matrix [out, d], whatever they were packed along. */
  isQuantized(name: string): boolean {
    return this.content.quantized.has(name);
  }

  /** Quantised matrices that take 32 bits a weight in memory, by why they do. */
  widened(): ReadonlyMap<string, readonly string[]> {
    const found = new Map<string, string[]>();
    for (const [tensor, { widened }] of this.content.quantized)
      if (widened !== undefined) found.set(widened, [...(found.get(widened) ?? []), tensor]);
    return found;
  }

  /** Like `info`, but throws `tensor-missing`. */
  require(name: string): TensorInfo {
    const info = this.info(name);
    if (info === undefined) {
      const other = this.ignored.get(name);
      const message =
        other === undefined
          ? `the model has no tensor ${JSON.stringify(name)}`
          : `the tensor ${JSON.stringify(name)} is of type ${other.dtype}, which cannot be a weight`;
      throw badInput(
        "tensor-missing",
        message,
        this.source,
        "the model may be of another architecture than its config says",
      );
    }
    return info;
  }

  /** Bytes `begin` to `end` of a tensor's data; at the front of `buffer` where one is given, else in new memory. */
  readBytes(name: string, begin: number, end: number, buffer?: Uint8Array): Uint8Array {
    const info = this.require(name);
    if (!(begin >= 0 && begin <= end && end <= info.bytes)) {
      throw misuse(`bytes ${begin} to ${end} of ${JSON.stringify(name)}, which has ${info.bytes}`);
    }
    if (info.widened !== undefined) return this.readStored(info, begin, end);
    const length = end - begin;
    const fits = buffer !== undefined && buffer.length >= length;
    const bytes = fits ? buffer.subarray(0, length) : new Uint8Array(length);
    const quantized = this.content.quantized.get(name);
    if (quantized === undefined) readInto(this.opened(info.file), bytes, info.offset + begin);
    else this.encodeInto(quantized, begin, bytes);
    return bytes;
  }

  /**
   * Rows of a matrix view, as they are stored: `rows` rows of d elements of the view's type. A transposed tensor
   * (f32, f16 or bf16) is transposed once and kept until another one is asked for. The result may lie in `buffer`.
   */
  readStoredRows(matrix: MatrixRef, firstRow: number, rows: number, buffer?: Uint8Array): Uint8Array {
    const rowBytes = this.checkMatrix(matrix);
    if (!(firstRow >= 0 && rows >= 0 && firstRow + rows <= matrix.out)) {
      throw misuse(
        `rows ${firstRow} to ${firstRow + rows} of ${JSON.stringify(matrix.tensor)}, which has ${matrix.out}`,
      );
    }
    const begin = (matrix.first + firstRow) * rowBytes;
    const end = begin + rows * rowBytes;
    return matrix.transposed
      ? this.transposedBytes(matrix.tensor).slice(begin, end)
      : this.readBytes(matrix.tensor, begin, end, buffer);
  }

  /** Rows of a matrix view as f32, [rows, d]. */
  readRows(matrix: MatrixRef, firstRow: number, rows: number): Float32Array {
    const values = dequantize(matrix.dtype, this.readStoredRows(matrix, firstRow, rows), rows * matrix.d);
    const order = this.orderOf(matrix.tensor);
    return order === undefined ? values : inputOrder(values, order);
  }

  /** The input of each column of a matrix whose columns are stored in another order than the inputs', else undefined. */
  orderOf(tensor: string): Int32Array | undefined {
    return this.content.quantized.get(tensor)?.order;
  }

  /** A vector view as f32, with its `plus` added. */
  readVector(ref: VectorRef): Float32Array {
    const info = this.require(ref.tensor);
    const elements = info.shape.reduce((product, length) => product * length, 1);
    if (!(ref.first >= 0 && ref.length >= 0 && ref.first + ref.length <= elements)) {
      throw shapeError(info, `elements ${ref.first} to ${ref.first + ref.length} are needed`);
    }
    const block = blockSizes[info.dtype];
    const firstBlock = Math.floor(ref.first / block.elements);
    const endBlock = Math.ceil((ref.first + ref.length) / block.elements);
    const bytes = this.readBytes(info.name, firstBlock * block.bytes, endBlock * block.bytes);
    const values = dequantize(info.dtype, bytes, (endBlock - firstBlock) * block.elements);
    const skip = ref.first - firstBlock * block.elements;
    const view = values.length === ref.length ? values : values.slice(skip, skip + ref.length);
    return ref.plus === undefined ? view : view.map((value) => value + ref.plus!);
  }

  /**
   * SHA-256 (hex) of what makes the model this one: the sorted tensor directory, the configuration's text, and the
   * first and last 4 KB of every tensor. Independent of where the model lies and of how it is sharded.
   */
  fingerprint(): string {
    const hash = createHash("sha256");
    hash.update(this.content.identity);
    for (const name of [...this.content.stored.keys()].sort()) {
      const info = this.content.stored.get(name)!;
      const { dtype, shape, bytes } = info;
      hash.update(`${JSON.stringify([name, dtype, shape])}\n`);
      hash.update(this.readStored(info, 0, Math.min(sampleBytes, bytes)));
      hash.update(this.readStored(info, Math.max(0, bytes - sampleBytes), bytes));
    }
    return hash.digest("hex");
  }

  /** Paths of the files that hold tensors, sorted. */
  filesOfTensors(): string[] {
    return [...new Set([...this.content.stored.values()].map(({ file }) => file))].sort();
  }

  /** Closes the files. Reading afterwards is a defect. */
  close(): void {
    for (const { descriptor } of this.files.values()) {
      closeQuietly(descriptor);
    }
    this.files.clear();
    this.transposed = undefined;
    this.unpacked = undefined;
    this.closed = true;
  }

  /** Bytes of a tensor as a file holds it; of IQ4_NL those of Q8_0. */
  private readStored(info: TensorInfo | RawTensorInfo, begin: number, end: number): Uint8Array {
    const { file, offset } = info;
    if ("widened" in info)
      return readWidened((from, to) => readAt(this.opened(file), offset + from, to - from), begin, end);
    const bytes = new Uint8Array(end - begin);
    readInto(this.opened(file), bytes, offset + begin);
    return bytes;
  }

  /** Fills `bytes` from byte `begin` of a matrix on, in its type. It is unpacked once, and kept until another one is asked for. */
  private encodeInto(tensor: QuantizedTensor, begin: number, bytes: Uint8Array): void {
    if (this.unpacked?.tensor !== tensor)
      this.unpacked = { tensor, matrix: tensor.unpack((info) => this.readStored(info, 0, info.bytes)) };
    const { matrix } = this.unpacked;
    const block = blockSizes[tensor.dtype];
    const first = Math.floor(begin / block.bytes);
    const count = Math.ceil((begin + bytes.length) / block.bytes) - first;
    const stored = quantizedBytes(matrix, tensor.dtype, first * block.elements, count * block.elements);
    const skip = begin - first * block.bytes;
    bytes.set(stored.subarray(skip, skip + bytes.length));
  }

  private opened(file: string): OpenFile {
    if (this.closed) {
      throw misuse(`${file} after close`);
    }
    let opened = this.files.get(file);
    if (opened === undefined) {
      opened = openFile(file);
      this.files.set(file, opened);
    }
    return opened;
  }

  /** Checks a view against its tensor; returns the bytes of one row of the view. */
  private checkMatrix(matrix: MatrixRef): number {
    const info = this.require(matrix.tensor);
    const [stored, inner] = info.shape;
    const [rows, d] = matrix.transposed ? [inner, stored] : [stored, inner];
    const block = blockSizes[info.dtype];
    if (info.dtype !== matrix.dtype) {
      throw shapeError(info, `a matrix of type ${matrix.dtype} is needed`);
    }
    if (info.shape.length !== 2 || d !== matrix.d || rows === undefined || matrix.first + matrix.out > rows) {
      const wanted = `rows ${matrix.first} to ${matrix.first + matrix.out} of ${matrix.d} elements`;
      throw shapeError(info, `${wanted}${matrix.transposed ? ", transposed," : ""} are needed`);
    }
    if (matrix.transposed && block.elements !== 1) {
      throw shapeError(info, "a tensor in blocks cannot be transposed");
    }
    return (matrix.d / block.elements) * block.bytes;
  }

  private transposedBytes(tensor: string): Uint8Array {
    if (this.transposed?.tensor !== tensor) {
      const { shape, bytes } = this.require(tensor);
      const [rows, columns] = shape as [number, number];
      const width = bytes / (rows * columns);
      this.transposed = { tensor, bytes: transpose(this.readBytes(tensor, 0, bytes), rows, columns, width) };
    }
    return this.transposed.bytes;
  }
}

function shapeError(info: TensorInfo, needed: string): GsicError {
  const message = `the tensor is ${info.dtype} [${info.shape.join(", ")}], but ${needed}`;
  return badInput(
    "tensor-shape",
    message,
    `${info.file}: tensor ${JSON.stringify(info.name)}`,
    "the configuration may be of another model than the weights",
  );
}

function misuse(what: string): GsicError {
  return new GsicError({ category: "defect", code: "weights-misuse", message: `reading ${what}` });
}
