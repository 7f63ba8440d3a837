import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Built, modeOf } from "../build-folder/open.js";
import { type ProgressListener, runTool } from "../cc/tool.js";
import { programOf } from "../ir/modes.js";
import type { Mode, ProgramMode } from "../ir/program.js";
import type { Ceiling, Spread } from "../report/measurements.js";
import type { ListedLaunch, ProgramJson } from "../report/program-json.js";
import { GsicError } from "../support/errors.js";
import { temporaryFolder } from "../support/temporary.js";
import { type GateState, gateStates, type MeasuredLaunch, measuredLaunch } from "./jobs.js";

/** What `gsic-tool launches` prints; see runtime/tools/launches.cpp. */
export interface ToolMeasurements extends Ceiling {
  readonly target: string;
  /** What the device calls itself. */
  readonly device: string;
  readonly units: number;
  readonly repeat: number;
  /** Least bytes between two reads of the same cold byte. */
  readonly cold_bytes: number;
  /** Whether too little memory was free for more than 512 MiB. */
  readonly cold_short: boolean;
  /** Seconds a launch. `cold` is null where there are no weights to read from memory. */
  readonly jobs: readonly {
    readonly cold: Spread | null;
    readonly cached: Spread;
    readonly copies: number;
    readonly cold_launches: number;
    readonly cached_launches: number;
  }[];
}

/** What a launch takes, beside the bytes that it reads. */
interface LaunchTime {
  /** Bytes of weights that a launch reads; null for a look-up. */
  readonly weight_bytes: number | null;
  /** Seconds a launch, weights read from memory; null without weights. */
  readonly cold_seconds: Spread | null;
  /** Seconds a launch that reads the same weights again and again. */
  readonly cached_seconds: Spread;
  /** By the medians. */
  readonly cold_bytes_per_second: number | null;
  readonly cold_share_of_ceiling: number | null;
  readonly cached_bytes_per_second: number | null;
  /** Launches of the measured sequences, and copies of the weights that the cold one takes turns with. */
  readonly cold_launches: number;
  readonly cached_launches: number;
  readonly copies: number;
}

/** What `gsic bench --launches --json` prints. */
export interface LaunchMeasurements extends Omit<ToolMeasurements, "jobs"> {
  readonly model: string;
  readonly mode: ProgramMode;
  readonly columns: number;
  /** The position of the first column. */
  readonly position: number;
  /** Each distinct kernel of the mode's program, twice where a gate decides. */
  readonly launches: readonly (LaunchTime & {
    readonly kernel: string;
    readonly gate: GateState;
    /** Launches of it in a token's step. */
    readonly in_step: number;
  })[];
  /** Launches of a token's step, and the sum of their times in isolation, weights from memory. */
  readonly step: {
    readonly launches: number;
    readonly seconds: { readonly closed: number; readonly open: number };
  };
}

/** Which mode is measured, and how often each launch is measured. */
interface LaunchOptions {
  /** Of `lossless` the launches of the plan that drafts. */
  readonly mode?: Mode | undefined;
  readonly repeat: number;
  readonly progress?: ProgressListener;
  /** On top of this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Where attention looks back from, if the context is that long. */
const measuredPosition = 512;

/** Measures every distinct launch of a token's step on a GPU; of a CPU's build gsic-tool refuses that. */
export async function measureLaunches(built: Built, options: LaunchOptions): Promise<LaunchMeasurements> {
  const mode = programOf(modeOf(built, options.mode));
  const program = built.program;
  const distinct = distinctLaunches(built, program, mode);
  const list = distinct.flatMap(({ launch, template, count }) =>
    gateStates(launch).map((gate) => ({ gate, count, ...measuredLaunch(launch, template, gate) })),
  );
  const position = Math.min(measuredPosition, built.report.context - 1);
  const { jobs, ...measured } = await runLaunches(built.bundle, list, position, options);
  const launches = list.map(({ job, gate, count, weightBytes }, index) => ({
    kernel: job.kernel,
    gate,
    in_step: count,
    ...timeOf(weightBytes, jobs[index]!, measured),
  }));
  const sum = (other: GateState) =>
    launches
      .filter(({ gate }) => gate !== other)
      .reduce((total, one) => total + one.in_step * (one.cold_seconds ?? one.cached_seconds).median, 0);
  return {
    model: built.report.name,
    mode,
    columns: 1,
    position,
    ...measured,
    launches,
    step: {
      launches: distinct.reduce((total, { count }) => total + count, 0),
      seconds: { closed: sum("open"), open: sum("closed") },
    },
  };
}

/** The first launch of every kernel of a mode's program, its template, and how many launches it has. */
function distinctLaunches({ folder }: Built, { kernels, modes }: ProgramJson, mode: ProgramMode) {
  const templates = new Map(kernels.map(({ symbol, template }) => [symbol, template]));
  const { body, head } = modes[mode]!;
  const found = new Map<string, { launch: ListedLaunch; template: string; count: number }>();
  for (const launch of [...body, ...head]) {
    const known = found.get(launch.kernel);
    const template = templates.get(launch.kernel);
    if (template === undefined) throw incomplete(folder, launch.kernel);
    if (known === undefined) found.set(launch.kernel, { launch, template, count: 1 });
    else known.count++;
  }
  return [...found.values()];
}

function incomplete(folder: string, kernel: string): GsicError {
  return new GsicError({
    category: "usage",
    code: "build-incomplete",
    message: `a launch names a kernel that is not there, ${kernel}`,
    where: join(folder, "program.json"),
    hint: "build it again: gsic build <model.toml>",
  });
}

/** Measures launches of a bundle's kernels, in their order. */
export async function runLaunches(
  bundle: string,
  launches: readonly MeasuredLaunch[],
  position: number,
  { repeat, progress, environment }: LaunchOptions,
): Promise<ToolMeasurements> {
  const folder = await temporaryFolder("launches");
  try {
    const file = join(folder, "jobs.json");
    await writeFile(file, JSON.stringify({ columns: 1, position, jobs: launches.map(({ job }) => job) }));
    const args = ["launches", bundle, "--jobs", file, "--repeat", String(repeat)];
    return JSON.parse(await runTool(args, progress, environment)) as ToolMeasurements;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A launch's times beside the bytes that it reads. */
function timeOf(
  bytes: number | null,
  measured: ToolMeasurements["jobs"][number],
  ceiling: Ceiling,
): LaunchTime {
  const { cold, cached, ...sequences } = measured;
  const rate = (seconds: Spread | null) => (seconds === null || !bytes ? null : bytes / seconds.median);
  const coldRate = rate(cold);
  const most = ceiling.read_ceiling_bytes_per_second;
  return {
    weight_bytes: bytes,
    cold_seconds: cold,
    cached_seconds: cached,
    cold_bytes_per_second: coldRate,
    cold_share_of_ceiling: coldRate === null || most === null ? null : coldRate / most.median,
    cached_bytes_per_second: rate(cached),
    ...sequences,
  };
}
