import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { GsicError, messageOf } from "./errors.js";
import type { Mode } from "./ir.js";
import type { ProgramJson } from "./pack/sources.js";
import { type ParsedPlan, parsePlan } from "./parse.js";
import type { Report } from "./report.js";

/** A finished build: its folder, its report, and the paths of its parts. */
export interface Built {
  readonly folder: string;
  readonly report: Report;
  readonly bundle: string;
  readonly executable: string;
}

/** Opens a build folder. Throws `build-missing` (category usage). */
export function openBuild(path: string): Built {
  const folder = resolve(path);
  const file = join(folder, "report.json");
  try {
    const report = JSON.parse(readFileSync(file, "utf8")) as Report;
    if (typeof report.name !== "string") throw new Error("not a report");
    const executable = join(folder, report.name);
    return { folder, report, bundle: `${executable}.gsi`, executable };
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

/** Reads what a build's launches are. Throws `build-incomplete` (category usage). */
export function readProgram({ folder }: Built): ProgramJson {
  const file = join(folder, "program.json");
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ProgramJson;
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
    text = readFileSync(file, "utf8");
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

/** The mode that was asked for, or the build's own. Throws `mode-unavailable` (category usage). */
export function modeOf(built: Built, asked: string | undefined): Mode {
  const mode = built.report.modes.find((one) => one === (asked ?? built.report.mode));
  if (mode !== undefined) return mode;
  throw new GsicError({
    category: "usage",
    code: "mode-unavailable",
    message: `this build has no mode ${JSON.stringify(asked)}`,
    where: built.folder,
    hint: `it has: ${built.report.modes.join(", ")}; build again with --mode`,
  });
}
