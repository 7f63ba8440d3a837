import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve, sep } from "node:path";
import type { TensorInfo } from "../ir/graph.js";
import { badInput, readText } from "./file.js";
import { type RawTensorInfo, readSafetensors, type Safetensors } from "./safetensors-header.js";
import { describeJson, isJsonObject, parseStrictJson } from "./safetensors-json.js";

/** The file of a folder that says which shard holds each tensor. */
export const indexName = "model.safetensors.index.json";
/** The file of a folder whose weights are not in shards. */
export const singleName = "model.safetensors";

const maxIndex = 100_000_000;

/** An index of shards: which file holds each tensor. */
interface ShardIndex {
  /** Tensor name to shard file name, relative to the folder. */
  readonly weightMap: ReadonlyMap<string, string>;
  /** Every shard once, sorted. */
  readonly shards: readonly string[];
}

/** Reads the weights of a folder: `model.safetensors`, or the shards of `model.safetensors.index.json`. */
export async function readShardedSafetensors(folder: string): Promise<Safetensors> {
  const index = join(folder, indexName);
  if (!existsSync(index)) {
    const single = join(folder, singleName);
    if (!existsSync(single)) {
      throw badInput(
        "weights-missing",
        `the folder holds neither ${singleName} nor ${indexName}`,
        folder,
        "name a folder with safetensors weights, or convert the checkpoint to safetensors",
      );
    }
    return readSafetensors(single);
  }
  const { weightMap, shards } = parseShardIndex(readText(index, maxIndex), index);
  const tensors = new Map<string, TensorInfo>();
  const ignored = new Map<string, RawTensorInfo>();
  const metadata = new Map<string, string>();
  for (const shard of shards) {
    const content = await readSafetensors(shardPath(folder, shard, index));
    merge(tensors, content.tensors, weightMap, shard, index);
    merge(ignored, content.ignored, weightMap, shard, index);
    for (const [key, value] of content.metadata) {
      metadata.set(key, value);
    }
  }
  const missing = [...weightMap.keys()].filter((name) => !tensors.has(name) && !ignored.has(name));
  if (missing.length > 0) {
    throw badInput(
      "index-tensor-missing",
      `no shard holds ${listed(missing)}`,
      `${index}: key ${JSON.stringify(missing[0])}`,
      "fetch the model again",
    );
  }
  return { tensors, ignored, metadata };
}

/** Parses an index and refuses shard names that could leave the folder. */
export function parseShardIndex(text: string, file: string): ShardIndex {
  const root = parseStrictJson(text, file);
  const weightMap = isJsonObject(root) ? root.get("weight_map") : undefined;
  if (!isJsonObject(weightMap)) {
    const message = `weight_map is ${describeJson(weightMap)}, not an object`;
    throw badInput(
      "index-weight-map",
      message,
      `${file}: key "weight_map"`,
      "fetch the index again, or remove it where model.safetensors is whole",
    );
  }
  const names = new Map<string, string>();
  for (const [tensor, shard] of weightMap) {
    if (typeof shard !== "string") {
      const message = `the shard of ${JSON.stringify(tensor)} is ${describeJson(shard)}, not a file name`;
      throw badInput(
        "index-weight-map",
        message,
        `${file}: key "weight_map"`,
        "fetch the index again, or remove it where model.safetensors is whole",
      );
    }
    checkShardName(shard, file);
    names.set(tensor, shard);
  }
  if (names.size === 0) {
    throw badInput(
      "index-weight-map",
      "weight_map is empty",
      `${file}: key "weight_map"`,
      "fetch the index again, or remove it where model.safetensors is whole",
    );
  }
  return { weightMap: names, shards: [...new Set(names.values())].sort() };
}

/** Shards are plain relative paths below the index that end in .safetensors. */
function checkShardName(shard: string, file: string): void {
  const parts = shard.split("/");
  const plain = parts.every((part) => /^[\w][\w.+@=, -]*$/.test(part));
  if (isAbsolute(shard) || !plain || !shard.endsWith(".safetensors")) {
    throw badInput(
      "index-shard-name",
      `${JSON.stringify(shard.slice(0, 120))} is not the plain name of a .safetensors file in the model's folder`,
      `${file}: key "weight_map"`,
      "the index was damaged or made to mislead; fetch it again from a source you trust",
    );
  }
}

/**
 * The path of a shard, which must exist and, links followed, lie in the folder. The Hugging Face cache is the one
 * exception: its `snapshots/<commit>/` folders are links into `blobs/` beside `snapshots/`.
 */
function shardPath(folder: string, shard: string, index: string): string {
  const path = join(folder, shard);
  if (!existsSync(path)) {
    throw badInput(
      "index-shard-missing",
      `the shard ${JSON.stringify(shard)} is missing`,
      `${index}: key "weight_map"`,
      "fetch it as well",
    );
  }
  const real = realpathSync(path);
  const home = realpathSync(folder);
  const isSnapshot = basename(dirname(home)) === "snapshots";
  const allowed = isSnapshot ? [home, resolve(home, "../../blobs")] : [home];
  if (!allowed.some((place) => real.startsWith(place + sep))) {
    const message = `the shard ${JSON.stringify(shard)} is a link that leaves the folder, to ${real}`;
    throw badInput(
      "index-shard-link",
      message,
      `${index}: key "weight_map"`,
      "put the file itself into the folder",
    );
  }
  return path;
}

function merge<T>(
  target: Map<string, T>,
  source: ReadonlyMap<string, T>,
  weightMap: ReadonlyMap<string, string>,
  shard: string,
  index: string,
): void {
  for (const [name, tensor] of source) {
    const owner = weightMap.get(name);
    if (owner !== shard) {
      const message =
        owner === undefined
          ? `the shard ${shard} holds ${JSON.stringify(name)}, which the index does not name`
          : `${JSON.stringify(name)} stands in the shard ${shard}, but the index says ${owner}`;
      throw badInput(
        owner === undefined ? "index-tensor-extra" : "index-tensor-twice",
        message,
        `${index}: key ${JSON.stringify(name)}`,
        "fetch the index and its shards again: they are of different versions",
      );
    }
    target.set(name, tensor);
  }
}

/** The first few of a list, quoted. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => JSON.stringify(name));
  return names.length > shown.length
    ? `${shown.join(", ")} and ${names.length - shown.length} more`
    : shown.join(", ");
}
