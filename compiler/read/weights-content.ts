import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TensorInfo } from "../ir/graph.js";
import { badInput, readAt, readText, withFile } from "./file.js";
import { readGguf } from "./gguf.js";
import type { GgufMetadata } from "./gguf-metadata.js";
import { type OnnxFile, readOnnx } from "./onnx.js";
import type { OnnxTensor } from "./onnx-tensor.js";
import { readQuantized } from "./quantized.js";
import type { QuantizedTensor } from "./quantized-linear.js";
import { checkTensorName, type RawTensorInfo } from "./safetensors-header.js";
import { parsePlainJson } from "./safetensors-json.js";
import { readShardedSafetensors } from "./safetensors-shards.js";

const maxConfig = 16 << 20;

/** Everything that `Weights` is made from. */
export interface WeightsContent {
  readonly source: string;
  readonly kind: "safetensors" | "gguf" | "onnx";
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly ignored: ReadonlyMap<string, RawTensorInfo>;
  /** Matrices among `tensors` that the files hold as integers and scales. */
  readonly quantized: ReadonlyMap<string, QuantizedTensor>;
  /** Tensors that are read, as they are in the files. */
  readonly stored: ReadonlyMap<string, TensorInfo | RawTensorInfo>;
  readonly config: Readonly<Record<string, unknown>> | undefined;
  readonly metadata: GgufMetadata | undefined;
  /** The graph of an .onnx file. */
  readonly onnx: OnnxFile | undefined;
  /** What stands for the configuration in the fingerprint. */
  readonly identity: Uint8Array;
}

/** A folder with config.json and safetensors. */
export async function folderContent(folder: string): Promise<WeightsContent> {
  const file = join(folder, "config.json");
  if (!existsSync(file)) {
    const hint = "a model is a folder with config.json and safetensors, a .gguf file, or an .onnx file";
    throw badInput("config-missing", "the folder holds no config.json", folder, hint);
  }
  const { text, config } = readConfigFile(file);
  const { tensors, ignored } = await readShardedSafetensors(folder);
  const content = readQuantized({ tensors, ignored }, config, folder, (info) =>
    withFile(info.file, (opened) => readAt(opened, info.offset, info.bytes)),
  );
  const taken = [...ignored].filter(([name]) => !content.ignored.has(name));
  return {
    source: folder,
    kind: "safetensors",
    ...content,
    stored: new Map([...tensors, ...taken]),
    config,
    metadata: undefined,
    onnx: undefined,
    identity: new TextEncoder().encode(text),
  };
}

/** A .gguf file. */
export async function ggufContent(file: string): Promise<WeightsContent> {
  const { tensors, metadata } = await readGguf(file);
  const entries = [...metadata].sort(([left], [right]) => (left < right ? -1 : 1));
  const text = JSON.stringify(entries, (_, value) => (typeof value === "bigint" ? `${value}n` : value));
  return {
    source: file,
    kind: "gguf",
    tensors,
    ignored: new Map(),
    quantized: new Map(),
    stored: tensors,
    config: undefined,
    metadata,
    onnx: undefined,
    identity: new TextEncoder().encode(text),
  };
}

/** An .onnx file, with the config.json beside it where there is one. */
export function onnxContent(file: string): WeightsContent {
  const onnx = readOnnx(file);
  const tensors = new Map<string, TensorInfo>();
  const stored = new Map<string, TensorInfo | RawTensorInfo>();
  for (const [name, tensor] of onnx.initializers) {
    const info = storedInfo(tensor);
    if (info === null) continue;
    checkTensorName(name, file);
    stored.set(name, info);
    const { element } = tensor;
    if (element === "f32" || element === "f16" || element === "bf16")
      tensors.set(name, { ...info, dtype: element });
  }
  const beside = join(dirname(file), "config.json");
  return {
    source: file,
    kind: "onnx",
    tensors,
    ignored: new Map(),
    quantized: new Map(),
    stored,
    config: existsSync(beside) ? readConfigFile(beside).config : undefined,
    metadata: undefined,
    onnx,
    identity: onnx.identity,
  };
}

/** Where a file holds a tensor; null for one without elements, and for one that stands as numbers of another type. */
function storedInfo({ name, element, shape, data }: OnnxTensor): RawTensorInfo | null {
  if (element === null || data === null || !("file" in data) || data.bytes === 0) return null;
  return { name, dtype: element.toUpperCase(), shape, ...data };
}

function readConfigFile(file: string) {
  const text = readText(file, maxConfig);
  const config = parsePlainJson(text, file);
  if (typeof config === "object" && config !== null && !Array.isArray(config))
    return { text, config: config as Readonly<Record<string, unknown>> };
  const hint = "take config.json from the model's publisher";
  throw badInput("config-type", "config.json is not an object", file, hint);
}
