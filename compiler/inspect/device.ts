import { programsOf } from "../ir/modes.js";
import type { DeviceKind, ProgramMode } from "../ir/program.js";
import type { Prediction } from "../report/prediction.js";
import type { ProgramJson } from "../report/program-json.js";
import type { Report } from "../report/report.js";
import type { MeasuredCost } from "../report/tuning.js";
import { visible, wrap } from "../support/text.js";
import type { MachineCode } from "./machine-code/report.js";
import { tableLines } from "./table-lines.js";

/** What a build runs on its device, as plain data: the key `build` of `gsic inspect --json`, which a plan alone lacks. */
type DeviceJson = Pick<
  Report,
  | "device"
  | "targets"
  | "modes"
  | "launches_per_token"
  | "launches_per_layer"
  | "prediction"
  | "kernels"
  | "tuning"
> & {
  /** Every launch of every mode. */
  readonly programs: ProgramJson["modes"];
  /** What was counted in the machine code of GPUs' kernels, target by target. */
  readonly machine_code: readonly MachineCode[];
};

/** Picks what concerns the device from a build's report.json and program.json. */
export function deviceJson(
  report: Report,
  program: ProgramJson,
  machineCode: readonly MachineCode[],
): DeviceJson {
  const { device, targets, modes, launches_per_token, launches_per_layer, prediction, kernels, tuning } =
    report;
  return {
    device,
    targets,
    modes,
    launches_per_token,
    launches_per_layer,
    prediction,
    kernels,
    tuning,
    programs: program.modes,
    machine_code: machineCode,
  };
}

/** What is said of a build for a kind of device; where it is a list, it may be nothing. */
interface DeviceTexts {
  /** What it is for. */
  targets(report: Report): string;
  /** What a token is predicted to take, when it is built. */
  prediction(report: Report): readonly string[];
  /** What it runs, when it is inspected. */
  details(report: Report): readonly string[];
}

const cpuTexts: DeviceTexts = {
  targets({ targets }) {
    const names = targets.join(", ");
    // Of one CPU alone, also how to get a build for others.
    const forAll = targets.length > 1 || names === "cpu-portable";
    return forAll ? names : `${names}: CPUs like this one; --target cpu builds for all`;
  },
  prediction: () => [],
  details: () => [],
};

const gpuTexts: DeviceTexts = {
  targets: ({ targets }) => targets.join(", "),
  prediction: (report) => [predictionText(report)],
  details: (report) => [deviceText(report)],
};

/** What is said of builds for each kind of device. */
export const deviceTexts: Readonly<Record<DeviceKind, DeviceTexts>> = {
  cpu: cpuTexts,
  hip: gpuTexts,
  cuda: gpuTexts,
};

/**
 * A GPU build for a terminal: launches, the prediction's parts, and what each kernel takes of the device. No line is
 * longer than `columns`.
 */
export function deviceText(report: Report, columns = 100): string {
  const lines = [launchText(report), `Predicted on ${report.targets[0]}: ${predictionText(report)}`];
  const wrapped = [...lines, ...tuningLines(report)].flatMap((line) => wrap(line, columns));
  return [...wrapped, ...kernelTables(report, columns)].join("\n");
}

/** Launches of a token and of a layer, by mode. */
export function launchText({ modes, launches_per_token: token, launches_per_layer: layer }: Report): string {
  const counts = (mode: ProgramMode) =>
    `${token[mode]} a token, ${decimal(layer[mode]!)} a layer, in ${mode} mode`;
  return `Launches: ${programsOf({ modes }).map(counts).join("; ")}.`;
}

/** What was measured of the device: what times are predicted with, and which shapes of projections are divided so. */
function tuningLines({ tuning, targets }: Report): string[] {
  // Reports of earlier versions say nothing.
  const shapes = tuning?.shapes ?? [];
  const costs = tuning?.cost ? [costText(tuning.cost)] : [];
  if (shapes.length === 0) return costs;
  const measured = shapes.filter(({ by }) => by === "measurement");
  const name = ({ type, out, d, matrices, splits }: (typeof shapes)[number]) =>
    `${type} ${out}x${d}${matrices === 2 ? " (pair)" : ""}: ${splits}`;
  const list = (some: typeof shapes) => some.map(name).join(", ");
  const ruled = list(shapes.filter(({ by }) => by === "rule"));
  if (measured.length === 0)
    return [
      ...costs,
      `Waves that share a tile, by the rule (gsic bench --tune on a ${targets[0]} measures): ${ruled}.`,
    ];
  const devices = [...new Set(measured.map(({ device }) => visible(device!)))].join(", ");
  const rest = ruled === "" ? "" : `; by the rule: ${ruled}`;
  return [...costs, `Waves that share a tile, as measured on ${devices}: ${list(measured)}${rest}.`];
}

/** What times are predicted with, where it was measured. */
function costText({ device, bandwidth, step, launch }: MeasuredCost): string {
  const microseconds = (seconds: number) => `${Number((seconds * 1e6).toPrecision(3))} us`;
  return `Predicted with what was measured on ${visible(device)}: ${Number((bandwidth / 1e9).toPrecision(4))} GB/s, ${microseconds(step)} a dependent launch, ${microseconds(launch)} a sequence.`;
}

/** What a token is predicted to take on the first target, and why. */
export function predictionText({ prediction, bytes_per_token: bytes }: Report): string {
  const { dense, fast, slow } = prediction;
  const text = `${milliseconds(dense.total)} a token, dense (${partsText(dense)})`;
  if (bytes.fast === bytes.dense && bytes.slow === bytes.dense) return `${text}.`;
  if (bytes.fast === bytes.slow)
    return `${text}; ${milliseconds(fast.total)} in this plan (${partsText(fast)}).`;
  const closed = `${milliseconds(fast.total)} with every gate closed (${partsText(fast)})`;
  return `${text}; ${closed}; ${milliseconds(slow.total)} with every gate open.`;
}

function partsText({ memory, launches, steps }: Prediction): string {
  return `${milliseconds(memory)} to read weights, ${milliseconds(launches)} to launch, ${milliseconds(steps)} between kernels`;
}

const headings = ["kernel", "groups", "a unit", "threads", "LDS", "VGPRs", "AGPRs", "SGPRs", "waves/SIMD"];
const accumulation = headings.indexOf("AGPRs");

/** A table per target: what each kernel takes of a compute unit. */
function kernelTables({ targets, kernels }: Report, columns: number): string[] {
  return targets.flatMap((target) => {
    const rows = kernels.map(({ symbol, launch, resources }) => {
      const facts = resources[target];
      const { maxWorkgroups = 0, perUnit = 0, threads = 0, lds = 0 } = launch ?? {};
      const registers = [facts?.vgprs, facts?.agprs, facts?.sgprs, facts?.occupancy];
      const cells = [visible(symbol), maxWorkgroups, perUnit, threads, lds, ...registers];
      return cells.map((cell) => String(cell ?? "-"));
    });
    const unused = rows.every((row) => ["0", "-"].includes(row[accumulation]!));
    const all = [headings, ...rows].map((row) => (unused ? row.toSpliced(accumulation, 1) : row));
    return ["", `Kernels for ${target}`, ...tableLines(all, columns), ...notes(target, kernels)];
  });
}

/** What the table has no column for. */
function notes(target: string, kernels: Report["kernels"]): string[] {
  const spilling = kernels.filter(({ resources }) => (resources[target]?.sgprSpills ?? 0) > 0);
  const lines = spilling.map(
    ({ symbol, resources }) =>
      `${symbol}: ${resources[target]!.sgprSpills} scalar registers kept in lanes of vector registers`,
  );
  if (kernels.every(({ resources }) => resources[target] === undefined))
    lines.push("PTX: the driver assigns registers when it loads the model.");
  return lines.flatMap((line) => wrap(visible(line), 100));
}

/** Seconds as milliseconds, to three figures. */
function milliseconds(seconds: number): string {
  return `${Number((seconds * 1e3).toPrecision(3))} ms`;
}

function decimal(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}
