import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildFiles, namedFiles } from "../config/build-files.js";
import { buildName, type Config, readConfig } from "../config/config.js";
import { type ParsedPlan, parsePlan } from "../graph-text/parse.js";
import { readForms } from "../ir/forms.js";
import type { Mode } from "../ir/program.js";
import { decodeUtf8, readWhole } from "../read/file.js";
import type { ProgramJson } from "../report/program-json.js";
import type { Report } from "../report/report.js";
import { GsicError, messageOf } from "../support/errors.js";
import { didYouMean } from "../support/suggest.js";

/** No report, program or graph.ts of a build is a tenth of this. */
const maxBytes = 1 << 28;

/** A finished build. Its parts are read when they are first asked for, and once. */
export class Built {
  readonly bundle: string;
  readonly executable: string;
  #program: ProgramJson | undefined;
  #plan: Promise<ParsedPlan> | undefined;
  #config: Config | undefined;

  /** `openBuild` reads the report. */
  constructor(
    readonly folder: string,
    readonly report: Report,
  ) {
    const named = namedFiles(report.name);
    this.bundle = join(folder, named.bundle);
    this.executable = join(folder, named.executable);
  }

  /** Paths of all that a build consists of, whether it is there or not. */
  get files(): readonly string[] {
    const names = [...Object.values(buildFiles), ...Object.values(namedFiles(this.report.name))];
    return names.map((name) => join(this.folder, name));
  }

  /** Its launches. Throws `build-incomplete` (category usage). */
  get program(): ProgramJson {
    this.#program ??= readProgram(join(this.folder, buildFiles.program));
    return this.#program;
  }

  /** Its graph.ts. Rejects with what `readPlan` throws. */
  get plan(): Promise<ParsedPlan> {
    this.#plan ??= readPlan(join(this.folder, buildFiles.graph));
    return this.#plan;
  }

  /** Its model.toml. Throws `build-moved` (category usage) where that is no longer there, and what `readConfig` throws. */
  get config(): Config {
    this.#config ??= readConfig(configFile(this));
    return this.#config;
  }
}

/** Opens a build folder. Throws `build-missing` (category usage). */
export function openBuild(path: string): Built {
  const folder = resolve(path);
  if (isModel(folder)) {
    throw new GsicError({
      category: "usage",
      code: "build-missing",
      message: "this is a model, and no build",
      where: folder,
      hint: `build it first: gsic build <model.toml>, with [model] source = ${JSON.stringify(path)}; gsic run and gsic chat take it as it is`,
    });
  }
  try {
    const report = JSON.parse(readUtf8(join(folder, buildFiles.report)), readForms) as Report | null;
    if (!isReport(report)) throw new Error("report.json does not say what the build is");
    return new Built(folder, report);
  } catch (cause) {
    throw new GsicError({
      category: "usage",
      code: "build-missing",
      message: `this is not the folder of a build (${messageOf(cause)})`,
      where: folder,
      hint: "build it first: gsic build <model.toml>",
      cause,
    });
  }
}

/** Whether a path is that of a model, which people name where a build is needed. */
function isModel(path: string): boolean {
  if (existsSync(join(path, buildFiles.report))) return false;
  return (/\.(gguf|onnx)$/.test(path) && existsSync(path)) || existsSync(join(path, "config.json"));
}

/** Whether a report names a build and its modes: what everything else is found by. */
function isReport(report: Report | null): report is Report {
  if (typeof report !== "object" || report === null) return false;
  const { name, mode, modes, config } = report as Partial<Report>;
  const isText = (value: unknown) => typeof value === "string";
  return (
    isText(name) &&
    buildName.test(name!) &&
    isText(mode) &&
    isText(config) &&
    Array.isArray(modes) &&
    modes.every(isText)
  );
}

function readUtf8(file: string): string {
  return decodeUtf8(readWhole(file, maxBytes), file, 0);
}

/** Reads what a build's launches are. Throws `build-incomplete` (category usage), also for builds of an earlier gsic. */
function readProgram(file: string): ProgramJson {
  try {
    const program = JSON.parse(readUtf8(file)) as ProgramJson;
    const launches = Object.values(program.modes).flatMap(({ body }) => body);
    // What says of an argument that it is written came after all else that is read here.
    if (launches.some(({ writes }) => writes === undefined))
      throw new Error("the build was made by an earlier gsic, and does not say all that is needed");
    return program;
  } catch (cause) {
    throw new GsicError({
      category: "usage",
      code: "build-incomplete",
      message: messageOf(cause),
      where: file,
      hint: "build it again: gsic build <model.toml>",
      cause,
    });
  }
}

/** Reads a graph.ts. Throws `graph-unreadable` (category usage), and what `parsePlan` throws. */
export async function readPlan(path: string): Promise<ParsedPlan> {
  const file = resolve(path);
  let text: string;
  try {
    text = readUtf8(file);
  } catch (cause) {
    throw new GsicError({
      category: "usage",
      code: "graph-unreadable",
      message: messageOf(cause),
      where: file,
      hint: "give the graph.ts of a build, e.g. build/tiny-gpt2/graph.ts",
      cause,
    });
  }
  return parsePlan(file, text);
}

/** The model.toml of a build, which its report names. Throws `build-moved` (category usage) where it is not there. */
function configFile({ folder, report }: Built): string {
  const config = resolve(folder, report.config);
  if (existsSync(config)) return config;
  throw new GsicError({
    category: "usage",
    code: "build-moved",
    message: `the model.toml of this build is not where it was, ${config}`,
    where: `${join(folder, "report.json")}: config`,
    hint: "move the build folder or model.toml back to where they were, or build again: gsic build <model.toml>",
  });
}

/** The mode that was asked for, or the build's own. Throws `mode-unavailable` (category usage). */
export function modeOf(built: Built, asked: string | undefined): Mode {
  const mode = built.report.modes.find((one) => one === (asked ?? built.report.mode));
  if (mode !== undefined) return mode;
  throw new GsicError({
    category: "usage",
    code: "mode-unavailable",
    message: `this build has no mode ${JSON.stringify(asked)}`,
    where: built.folder,
    hint: `${didYouMean(String(asked), built.report.modes)}it has: ${built.report.modes.join(", ")}; build again with --mode`,
  });
}
