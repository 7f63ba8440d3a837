import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TensorInfo } from "../ir/graph.js";
import { badInput, readAt, readText, withFile } from "./file.js";
import { readGguf } from "./gguf.js";
import type { GgufMetadata } from "./gguf-metadata.js";
import { readQuantized } from "./quantized.js";
import type { QuantizedTensor } from "./quantized-linear.js";
import type { RawTensorInfo } from "./safetensors-header.js";
import { parsePlainJson } from "./safetensors-json.js";
import { readShardedSafetensors } from "./safetensors-shards.js";

const maxConfig = 16 << 20;

/** Everything that `Weights` is made from. */
export interface WeightsContent {
  readonly source: string;
  readonly kind: "safetensors" | "gguf";
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly ignored: ReadonlyMap<string, RawTensorInfo>;
  /** Matrices among `tensors` that the files hold as integers and scales. */
  readonly quantized: ReadonlyMap<string, QuantizedTensor>;
  /** Tensors that are read, as they are in the files. */
  readonly stored: ReadonlyMap<string, TensorInfo | RawTensorInfo>;
  readonly config: Readonly<Record<string, unknown>> | undefined;
  readonly metadata: GgufMetadata | undefined;
  /** What stands for the configuration in the fingerprint. */
  readonly identity: Uint8Array;
}

/** A folder with config.json and safetensors. */
export async function folderContent(folder: string): Promise<WeightsContent> {
  const file = join(folder, "config.json");
  if (!existsSync(file)) {
    const hint = "a model is a folder with config.json and safetensors, or a .gguf file";
    throw badInput("config-missing", "the folder holds no config.json", folder, hint);
  }
  const text = readText(file, maxConfig);
  const config = parsePlainJson(text, file);
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw badInput(
      "config-type",
      "config.json is not an object",
      file,
      "take config.json from the model's publisher",
    );
  }
  const { tensors, ignored } = await readShardedSafetensors(folder);
  const parsed = config as Readonly<Record<string, unknown>>;
  const content = readQuantized({ tensors, ignored }, parsed, folder, (info) =>
    withFile(info.file, (opened) => readAt(opened, info.offset, info.bytes)),
  );
  const taken = [...ignored].filter(([name]) => !content.ignored.has(name));
  return {
    source: folder,
    kind: "safetensors",
    ...content,
    stored: new Map([...tensors, ...taken]),
    config: parsed,
    metadata: undefined,
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
    identity: new TextEncoder().encode(text),
  };
}
