import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import TOML from "@iarna/toml";
import { decodeUtf8, readWhole } from "../read/file.js";
import type { MeasuredCost, ProjectionShape } from "../report/tuning.js";
import { GsicError, messageOf } from "../support/errors.js";
import type { Config } from "./config.js";
import { configFor, isTunable } from "./devices.js";
import type { Target } from "./target.js";

/** How long a launch took with one choice, in seconds; null where it could not be compiled. */
interface Candidate {
  readonly splits: number;
  readonly seconds: number | null;
  readonly least: number | null;
  readonly most: number | null;
}

/** What was measured best for a shape on a device: one [[shape]] of a tuning file. */
export interface TunedShape extends ProjectionShape {
  readonly target: string;
  /** What the device calls itself. */
  readonly device: string;
  /** Version of gsic that measured. */
  readonly gsic: string;
  /** The choice: waves that share a tile of four rows. */
  readonly splits: number;
  readonly candidates: readonly Candidate[];
}

/** What a tuning file holds. */
interface TuningEntries {
  readonly shapes: readonly TunedShape[];
  /** One a target, at most. */
  readonly costs: readonly MeasuredCost[];
}

/** The tuning file of a build; `shapes` and `cost` are those of its target. */
export interface Tuning {
  readonly file: string;
  readonly shapes: readonly TunedShape[];
  readonly cost: MeasuredCost | null;
}

type Table = Readonly<Record<string, unknown>>;

const format = 1;
/** No tuning file is a tenth of this. */
const maxBytes = 1 << 24;
const shapeKeys = ["target", "device", "gsic", "type", "out", "d", "matrices", "splits", "candidates"];
const costKeys = ["target", "device", "gsic", "bandwidth", "launch", "step"];
const candidateKeys = ["splits", "seconds", "least", "most"];

/** Where a target's choices lie beside model.toml, unless the configuration names a file. */
export function defaultTuningFile(config: Config, target: Target): string {
  return join(dirname(config.file), `${target.name}.tuning.toml`);
}

/**
 * The measured choices for a target, from the file that the configuration names, or from that beside model.toml if it is
 * there; null without. Entries of other targets are left out. Throws `tuning-missing` and `tuning-invalid` (category usage).
 */
export function tuningOf(config: Config, target: Target): Tuning | null {
  if (!isTunable(target.device)) return null;
  const file = config.target.tuning ?? defaultTuningFile(config, target);
  if (!existsSync(file)) {
    if (config.target.tuning === null) return null;
    throw new GsicError({
      category: "usage",
      code: "tuning-missing",
      message: "there is no such file",
      where: `${config.file}: target.tuning = ${file}`,
      hint: "write it with gsic bench <build> --tune, or take the line out",
    });
  }
  const { shapes, costs } = readTuningFile(file);
  return {
    file,
    shapes: shapes.filter((shape) => shape.target === target.name),
    cost: costs.find((cost) => cost.target === target.name) ?? null,
  };
}

/** A target whose times are predicted with what was measured on its device, where that is there. */
export function withMeasuredCost<T extends Target>(target: T, measured: MeasuredCost | null): T {
  if (measured?.target !== target.name) return target;
  const { bandwidth, launch, step } = measured;
  return { ...target, cost: { bandwidth, launch, step } };
}

/** A target whose kernels are divided as measured. Choices that its workgroups cannot make are left to the rule. */
export function withTuning<T extends Target>(target: T, tuning: Tuning | null): T {
  const { divided } = configFor(target);
  if (tuning === null || divided === null) return target;
  return divided(target, new Map(tuning.shapes.map((shape) => [shapeKey(shape), shape.splits])));
}

/** All entries of a tuning file. Throws `tuning-invalid` (category usage) with the file and the place. */
export function readTuningFile(file: string): TuningEntries {
  let document: Table;
  try {
    document = TOML.parse(decodeUtf8(readWhole(file, maxBytes), file, 0));
  } catch (cause) {
    const { line, col } = cause as { line?: number; col?: number };
    const place = line === undefined ? file : `${file}:${line + 1}:${(col ?? 0) + 1}`;
    throw invalid(place, messageOf(cause).split(" at row ")[0]!.split("\n")[0]!);
  }
  refuseUnknown(document, ["format", "cost", "shape"], file);
  if (document.format !== format) throw invalid(`${file}: format`, `it must be ${format}`);
  const keyOf = (shape: TunedShape) => `${shape.target} ${shapeKey(shape)}`;
  return {
    shapes: entriesOf(document, "shape", file, readShape, keyOf),
    costs: entriesOf(document, "cost", file, readCost, ({ target }) => target),
  };
}

/** A list of tables, each with another key. */
function entriesOf<T>(
  document: Table,
  name: string,
  file: string,
  read: (value: unknown, at: string) => T,
  keyOf: (entry: T) => string,
): T[] {
  const list = document[name] ?? [];
  if (!Array.isArray(list)) throw invalid(`${file}: ${name}`, `it must be a list of tables, [[${name}]]`);
  const seen = new Set<string>();
  return list.map((one, index) => {
    const at = `${file}: ${name} ${index + 1}`;
    const entry = read(one, at);
    const key = keyOf(entry);
    if (seen.has(key)) throw invalid(at, `${key} is there twice`);
    seen.add(key);
    return entry;
  });
}

function readCost(value: unknown, at: string): MeasuredCost {
  const table = tableOf(value, at);
  refuseUnknown(table, costKeys, at);
  const positive = (key: string): number => {
    const found = table[key];
    if (typeof found === "number" && found > 0 && Number.isFinite(found)) return found;
    throw invalid(`${at}, ${key}`, "it must be a positive number");
  };
  return {
    ...originOf(table, at),
    bandwidth: positive("bandwidth"),
    launch: positive("launch"),
    step: positive("step"),
  };
}

function readShape(value: unknown, at: string): TunedShape {
  const table = tableOf(value, at);
  refuseUnknown(table, shapeKeys, at);
  const matrices = count(table, "matrices", at);
  if (matrices !== 1 && matrices !== 2) throw invalid(`${at}, matrices`, "it must be 1 or 2");
  const { candidates } = table;
  if (!Array.isArray(candidates)) throw invalid(`${at}, candidates`, "it must be a list");
  return {
    ...originOf(table, at),
    type: text(table, "type", at),
    out: count(table, "out", at),
    d: count(table, "d", at),
    matrices,
    splits: splitsIn(table, at),
    candidates: candidates.map((one, index) => readCandidate(one, `${at}, candidate ${index + 1}`)),
  };
}

function readCandidate(value: unknown, at: string): Candidate {
  const table = tableOf(value, at);
  refuseUnknown(table, candidateKeys, at);
  const seconds = (key: string): number | null => {
    const found = table[key];
    if (found === undefined) return null;
    if (typeof found === "number" && found > 0 && Number.isFinite(found)) return found;
    throw invalid(`${at}, ${key}`, "it must be a positive number of seconds");
  };
  return {
    splits: splitsIn(table, at),
    seconds: seconds("seconds"),
    least: seconds("least"),
    most: seconds("most"),
  };
}

/** For which target an entry was measured, on what device, by which gsic. */
type Origin = Pick<MeasuredCost, "target" | "device" | "gsic">;

function originOf(table: Table, at: string): Origin {
  return {
    target: text(table, "target", at),
    device: text(table, "device", at),
    gsic: text(table, "gsic", at),
  };
}

function originLines({ target, device, gsic }: Origin): string[] {
  return [
    `target = ${JSON.stringify(target)}`,
    `device = ${JSON.stringify(device)}`,
    `gsic = ${JSON.stringify(gsic)}`,
  ];
}

function splitsIn(table: Table, at: string): number {
  const splits = count(table, "splits", at);
  if ([1, 2, 4, 8, 16].includes(splits)) return splits;
  throw invalid(`${at}, splits`, `${splits} is not 1, 2, 4, 8 or 16`);
}

function tableOf(value: unknown, at: string): Table {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Table;
  throw invalid(at, "it must be a table");
}

function text(table: Table, key: string, at: string): string {
  const value = table[key];
  if (typeof value === "string" && value !== "") return value;
  throw invalid(`${at}, ${key}`, "it must be a string");
}

function count(table: Table, key: string, at: string): number {
  const value = table[key];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  throw invalid(`${at}, ${key}`, "it must be a positive integer");
}

function refuseUnknown(table: Table, allowed: readonly string[], at: string): void {
  const key = Object.keys(table).find((one) => !allowed.includes(one));
  if (key !== undefined) throw invalid(at, `unknown key ${key}; known: ${allowed.join(", ")}`);
}

function invalid(where: string, message: string): GsicError {
  const hint = "correct it, or remove the file and write it anew with gsic bench <build> --tune";
  return new GsicError({ category: "usage", code: "tuning-invalid", message, where, hint });
}

/** The text of a tuning file; the same entries give the same text. */
export function tuningText({ shapes, costs }: TuningEntries): string {
  const keyed = shapes.map((shape) => [`${shape.target} ${shapeKey(shape)}`, shape] as const);
  const sorted = keyed.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, shape]) => shape);
  const head = [
    "# How projections are divided among the waves of a workgroup: what `gsic bench --tune` measured best on a device.",
    "# `gsic build` reads this file; a shape without an entry gets the rule of compiler/emit/gpu/division.ts. A cost, what",
    "# reading and launching took there, stands in place of the target's in predicted times.",
    `format = ${format}`,
  ];
  const measured = [...costs].sort((a, b) => (a.target < b.target ? -1 : 1));
  return `${[...head, ...measured.flatMap(costLines), ...sorted.flatMap(shapeLines)].join("\n")}\n`;
}

function costLines({ bandwidth, launch, step, ...origin }: MeasuredCost): string[] {
  return [
    "",
    "[[cost]]",
    ...originLines(origin),
    `bandwidth = ${bandwidth} # bytes per second`,
    `launch = ${launch} # seconds`,
    `step = ${step} # seconds`,
  ];
}

function shapeLines(shape: TunedShape): string[] {
  const { type, out, d, matrices, splits, candidates, ...origin } = shape;
  const field = (key: string, value: number | null) => (value === null ? [] : [`${key} = ${value}`]);
  const lines = candidates.map((one) => {
    const times = [
      ...field("seconds", one.seconds),
      ...field("least", one.least),
      ...field("most", one.most),
    ];
    return `  { ${[`splits = ${one.splits}`, ...times].join(", ")} },`;
  });
  return [
    "",
    "[[shape]]",
    ...originLines(origin),
    `type = ${JSON.stringify(type)}`,
    `out = ${out}`,
    `d = ${d}`,
    `matrices = ${matrices}`,
    `splits = ${splits}`,
    "candidates = [",
    ...lines,
    "]",
  ];
}

/** One key for equal shapes. */
export function shapeKey({ type, out, d, matrices }: ProjectionShape): string {
  return `${type} ${out}x${d} ${matrices}`;
}
