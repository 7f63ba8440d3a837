import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readPlan } from "../../build-folder/open.js";
import { openStats } from "../../calibrate/stats-file.js";
import { runTool } from "../../cc/tool.js";
import { readConfig } from "../../config/config.js";
import { readTargetFile } from "../../config/target-file.js";
import { readGraph } from "../../models/index.js";
import { type Gguf, readGguf } from "../../read/gguf.js";
import { readSafetensors, readShardedSafetensors } from "../../read/safetensors.js";
import { readTokenizer } from "../../read/tokenizer.js";
import { Weights } from "../../read/weights.js";
import { auditWeights } from "../../read/weights-audit.js";
import type { ErrorCategory } from "../../support/errors.js";
import { safetensorsBytes } from "../files.js";
import { fixturesFolder } from "../fixtures.js";

/** A way of one of the 66 inputs, and the error that must come of it. */
export interface BadCase {
  /** Of the list. */
  readonly number: number;
  readonly what: string;
  /** Makes the input, and does with it what gsic would. */
  readonly act: (scratch: Scratch) => unknown;
  readonly code: string;
  /** The whole place; `@` stands for the folder of the case. */
  readonly where: string;
  /** Decides the exit code; default `data`. */
  readonly category?: ErrorCategory;
  /** What message and hint must hold besides. */
  readonly says?: readonly string[];
}

/** A row of a table of cases. */
export function bad(
  number: number,
  what: string,
  act: BadCase["act"],
  code: string,
  where: string,
  more: Pick<BadCase, "category" | "says"> = {},
): BadCase {
  return { number, what, act, code, where, ...more };
}

type Content = string | Uint8Array;

/** The folder of a case, and the readers of every kind of input, each on a file that it writes. */
export class Scratch {
  readonly folder: string;

  constructor(parent: string) {
    this.folder = mkdtempSync(join(parent, "case-"));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, content: Content): string {
    const file = this.path(name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  fifo(name: string): string {
    spawnSync("mkfifo", [this.path(name)]);
    return this.path(name);
  }

  /** Copies a model fixture into `model`, changes its config.json, and returns the folder. */
  model(fixture: string, change: Readonly<Record<string, unknown>> = {}): string {
    const from = join(fixturesFolder, fixture);
    for (const name of readdirSync(from)) {
      if (name === "expected.safetensors") continue;
      mkdirSync(this.path("model"), { recursive: true });
      copyFileSync(join(from, name), this.path(`model/${name}`));
    }
    const config = JSON.parse(readFileSync(join(from, "config.json"), "utf8")) as object;
    this.write("model/config.json", JSON.stringify({ ...config, ...change }));
    return this.path("model");
  }
}

/** Reads content as a file of each kind; where a name is given, as that file. */
export const safetensors = (content: Content) => (scratch: Scratch) =>
  readSafetensors(scratch.write("model.safetensors", content));

export const gguf =
  (content: Content) =>
  (scratch: Scratch): Promise<Gguf> =>
    readGguf(scratch.write("model.gguf", content));

/** A config.json beside one good tensor. */
export const config = (content: Content) => (scratch: Scratch) => {
  scratch.write("config.json", content);
  const one = { w: { dtype: "F32", shape: [1], data_offsets: [0, 4] } };
  scratch.write("model.safetensors", safetensorsBytes(one, new Uint8Array(4)));
  return opened(scratch.folder);
};

export const tokenizer = (content: Content) => (scratch: Scratch) => {
  scratch.write("tokenizer.json", content);
  return readTokenizer(scratch.folder);
};

export const statistics = (content: Content) => async (scratch: Scratch) => {
  const stats = await openStats(scratch.write("stats.safetensors", content), "this-model");
  return stats.read("x", 2);
};

export const toml = (content: Content) => (scratch: Scratch) =>
  readConfig(scratch.write("model.toml", content));

/** What follows a good [model] of two lines. */
export const settings = (content: string) => toml(`[model]\nname = "m"\nsource = "w"\n${content}\n`);

export const graph = (content: Content) => (scratch: Scratch) => readPlan(scratch.write("graph.ts", content));

export const target = (content: string) => (scratch: Scratch) =>
  readTargetFile(scratch.write("mine.toml", content));

/** Opens a bundle as every command does that computes. */
export const artefact = (content: Content | Promise<Uint8Array>) => async (scratch: Scratch) => {
  const ids = scratch.write("ids", new Uint8Array(Int32Array.of(1, 2).buffer));
  const bundle = scratch.write("model.gsi", await content);
  return runTool(["logits", bundle, "--ids-file", ids, "--out", scratch.path("logits")]);
};

/** An index of shards beside one shard with the tensors a and b. */
export const index =
  (content: Content, prepare: (scratch: Scratch) => void = () => {}) =>
  (scratch: Scratch) => {
    const entry = (begin: number) => ({ dtype: "F32", shape: [1], data_offsets: [begin, begin + 4] });
    scratch.write("1.safetensors", safetensorsBytes({ a: entry(0), b: entry(4) }, new Uint8Array(8)));
    scratch.write("model.safetensors.index.json", content);
    prepare(scratch);
    return readShardedSafetensors(scratch.folder);
  };

/** A model fixture whose config.json says something else, wired to a graph. */
export const wired =
  (fixture: string, change: Readonly<Record<string, unknown>>) => async (scratch: Scratch) => {
    const weights = await Weights.open(scratch.model(fixture, change));
    try {
      return readGraph(weights, "m");
    } finally {
      weights.close();
    }
  };

/** Opens a folder or a file as a model, and reads every weight. */
export async function opened(source: string): Promise<unknown> {
  const weights = await Weights.open(source);
  try {
    return auditWeights(weights);
  } finally {
    weights.close();
  }
}
