import { createHash } from "node:crypto";
import { existsSync, readdirSync, realpathSync, type Stats, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type Built, openBuild } from "../build-folder/open.js";
import { prepareRuntime } from "../cc/index.js";
import { runnableTargets } from "../cc/machine.js";
import { buildFiles, reservedNames } from "../config/build-files.js";
import { buildName } from "../config/config.js";
import { readAt, withFile } from "../read/file.js";
import { isHubSource, parseHubSource } from "../read/hub.js";
import { onnxOf } from "../read/onnx-folder.js";
import { makeCacheFolder } from "../support/cache-folder.js";
import { GsicError } from "../support/errors.js";
import { cacheFolder } from "../support/paths.js";
import type { Progress } from "../support/progress.js";
import { version } from "../support/version.js";

/**
 * The build that a person names: a build folder as it is; a model (a .gguf or .onnx file, a folder with config.json or
 * model.onnx, or `hf:owner/name`) is built in exact mode into the cache, and found there the next time. Throws
 * `build-missing` (category usage) for what is neither, and as `build`, `openBuild` and `readOnnx`.
 */
export async function buildOf(path: string, progress: Progress): Promise<Built> {
  const identity = await identityOf(path);
  if (identity === null) return openBuild(path);
  await prepareRuntime(["tool"], progress);
  const target = (await runnableTargets())[0]!.name;
  const key = createHash("sha256")
    .update(JSON.stringify([version, target, identity]))
    .digest("hex");
  const folder = await makeCacheFolder(join(cacheFolder(), "models", key.slice(0, 32)));
  const out = join(folder, "build");
  if (existsSync(join(out, buildFiles.report))) return openBuild(out);
  const input = join(folder, "model.toml");
  const source = isHubSource(path) ? path : resolve(path);
  writeFileSync(input, `[model]\nname = "${nameOf(path)}"\nsource = ${JSON.stringify(source)}\n`);
  const { build } = await import("../build.js");
  await build({ input, out, mode: "exact", targets: [target], progress });
  progress.note(`built in exact mode, and kept in ${out}; gsic build lets a planner make it faster`);
  return openBuild(out);
}

/** Endings of the files that a build reads from a model's folder. */
const modelFiles = /\.(safetensors|json|jinja|model|txt)$/;

/**
 * What changes when a model does: its path and its files by size, time and samples of their contents, since reading all of
 * a large model takes longer than running it. Null for what is no model.
 */
async function identityOf(path: string): Promise<unknown> {
  if (isHubSource(path)) return { hub: parseHubSource(path) };
  const found = statusOf(path);
  if (found === null) throw neither(path, "there is nothing here");
  const real = realpathSync(path);
  if (!found.isDirectory()) {
    if (path.endsWith(".onnx")) return onnxSamples(resolve(path));
    if (path.endsWith(".gguf")) return [real, fileSamples(real)];
    throw neither(path, "this is no .gguf or .onnx file, and no folder");
  }
  if (existsSync(join(real, buildFiles.report))) return null;
  const onnx = onnxOf(real);
  if (onnx !== null) return onnxSamples(onnx);
  if (existsSync(join(real, "config.json"))) return [real, folderSamples(real)];
  const inside = readdirSync(real).find((name) => /\.(gguf|onnx)$/.test(name));
  throw neither(path, "this folder is neither a build nor a model", inside);
}

/** What is there; null where nothing is, or nothing that may be looked at. */
function statusOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

/** The error for what can be neither run nor built; `inside` is a file of it that can. */
function neither(path: string, message: string, inside?: string): GsicError {
  const models = "a .gguf or .onnx file, a folder with config.json and safetensors, or hf:owner/name";
  const where = resolve(path);
  const hint =
    inside === undefined
      ? `name a build (build it first: gsic build <model.toml>), or a model: ${models}`
      : `name the file itself: ${join(where, inside)}`;
  return new GsicError({ category: "usage", code: "build-missing", message, where, hint });
}

/** Samples of the files of a model's folder. */
function folderSamples(folder: string): unknown {
  const files = readdirSync(folder)
    .filter((file) => modelFiles.test(file) && statusOf(join(folder, file))?.isFile())
    .sort();
  return files.map((file) => [file, fileSamples(join(folder, file))]);
}

/** Samples of an .onnx file, of those that hold its weights, and of what else a build reads beside them. */
async function onnxSamples(file: string): Promise<unknown> {
  const { readOnnx } = await import("../read/onnx.js");
  const data = [...readOnnx(file).initializers.values()].flatMap((tensor) =>
    tensor.data !== null && "file" in tensor.data ? [tensor.data.file] : [],
  );
  const files = [...new Set([file, ...data])].sort();
  return [files.map((one) => [one, fileSamples(one)]), folderSamples(dirname(file))];
}

/** Places of a file that are looked at, and bytes of each. */
const [samplePlaces, sampleBytes] = [16, 4096];

function fileSamples(file: string): unknown {
  const { size, mtimeMs } = statSync(file);
  const bytes = Math.min(size, sampleBytes);
  const hash = createHash("sha256");
  withFile(file, (opened) => {
    for (let place = 0; place < samplePlaces; place++)
      hash.update(readAt(opened, Math.floor((place * (size - bytes)) / (samplePlaces - 1)), bytes));
  });
  return [size, mtimeMs, hash.digest("hex")];
}

/** A name for the build of a model. */
function nameOf(path: string): string {
  const last = basename(path)
    .replace(/\.(gguf|onnx)$/, "")
    .replace(/@.*$/, "");
  const name = last
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 56);
  return buildName.test(name) && !reservedNames.includes(name) ? name : "model";
}
