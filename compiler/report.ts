import { relative } from "node:path";
import type { LaunchTimesByMode } from "./bench/launch-times.js";
import type { Measurements } from "./bench/text.js";
import type { ResourceFacts, TargetCode } from "./cc.js";
import { bytesPerToken, type Prediction, predictSeconds } from "./cost.js";
import { type ProjectionShape, shapeKey } from "./emit/gpu/division.js";
import type { Evaluation } from "./evaluate/evaluate.js";
import { linearById } from "./graph.js";
import type {
  ByteAccount,
  CalibrationOrigin,
  DeviceKind,
  Form,
  LaunchShape,
  Mode,
  Plan,
  ProgramMode,
} from "./ir.js";
import type { Model } from "./model.js";
import { launchesPerLayer } from "./schedule/listing.js";
import type { Schedule } from "./schedule/program.js";
import type { SearchReport } from "./search/report.js";
import type { SelfCheck } from "./selfcheck.js";
import type { Tuning } from "./tuning.js";

/** What a build chose, why, and what it costs: report.json. Times are predictions unless `evaluation` says more. */
export interface Report {
  readonly gsic: string;
  readonly name: string;
  readonly family: string;
  /** Path of model.toml, relative to the build folder. */
  readonly config: string;
  readonly model: { readonly source: string; readonly fingerprint: string };
  readonly mode: Mode;
  readonly modes: readonly Mode[];
  readonly targets: readonly string[];
  readonly device: DeviceKind;
  readonly context: number;
  /** Why the executable takes token ids only; null if it takes text. */
  readonly text_unavailable: string | null;
  /** How conversations are written for the model; null if its files do not say. */
  readonly chat: ChatReport | null;
  readonly calibration: { readonly tokens: number; readonly origin: CalibrationOrigin } | null;
  /** How the planner came to the plan; null where the forms were configured, or edited. */
  readonly search: SearchReport | null;
  /** Bytes of weights that a token reads in all linears. */
  readonly bytes_per_token: { readonly dense: number; readonly fast: number; readonly slow: number };
  /** Seconds of a token by the target's cost model, from bytes and launches. */
  readonly predicted_seconds_per_token: {
    readonly dense: number;
    readonly fast: number;
    readonly slow: number;
  };
  /** What those seconds are made of. */
  readonly prediction: { readonly dense: Prediction; readonly fast: Prediction; readonly slow: Prediction };
  readonly launches_per_token: Readonly<Partial<Record<ProgramMode, number>>>;
  /** Launches that write a layer's values or cache, per layer. */
  readonly launches_per_layer: Readonly<Partial<Record<ProgramMode, number>>>;
  readonly linears: readonly {
    readonly linear: string;
    /** The value that it reads; linears of one input share their gate. */
    readonly input: string;
    readonly form: Form;
    readonly bytes: ByteAccount;
    readonly verdict: string;
  }[];
  readonly kernels: readonly {
    readonly symbol: string;
    readonly summary: string;
    /** Null on CPUs. */
    readonly launch: LaunchShape | null;
    /** What the compiled kernel takes of the device, by target; no entry where the compiler does not say. */
    readonly resources: Readonly<Record<string, ResourceFacts>>;
  }[];
  /** How projections are divided among waves, and by what; null on CPUs. */
  readonly tuning: TuningReport | null;
  readonly self_check: SelfCheck;
  /** What `gsic eval` measured on the configured texts; null until then. */
  readonly evaluation: Evaluation | null;
  /** What `gsic bench` measured, wherever that was; null until then. */
  readonly speed: Measurements | null;
  /** What `gsic bench --launches` measured; null until then. */
  readonly launch_times: LaunchTimesByMode | null;
}

/** What `chat_template.jinja` of the build folder goes with. */
export interface ChatReport {
  /** The template's name in the build folder. */
  readonly template: string;
  /** Special tokens that the template may name. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Ids that end a turn, beside the end of text. */
  readonly end_ids: readonly number[];
}

/** The distinct shapes of a GPU build's projections. */
export interface TuningReport {
  /** The tuning file, relative to the build folder; null if there was none. */
  readonly file: string | null;
  readonly shapes: readonly (ProjectionShape & {
    /** Waves that share a tile of four rows. */
    readonly splits: number;
    readonly by: "measurement" | "rule";
    /** What it was measured on; null by the rule. */
    readonly device: string | null;
  })[];
}

export const version = "0.1.0";

export function reportOf(facts: {
  config: string;
  plan: Plan;
  search: SearchReport | null;
  scheduled: Schedule;
  model: Model;
  /** The default first. */
  modes: readonly Mode[];
  /** Those of them with a program; the plan's first. */
  programs: readonly ProgramMode[];
  code: readonly TargetCode[];
  check: SelfCheck;
  calibration: Report["calibration"];
  tuning: TuningReport | null;
}): Report {
  const { config, plan, search, scheduled, model, modes, programs, code, check, calibration, tuning } = facts;
  const { cost, device } = code[0]!.target;
  const bytes = bytesPerToken(plan);
  const byMode = (count: (mode: ProgramMode) => number) =>
    Object.fromEntries(programs.map((mode) => [mode, count(mode)])) as Partial<Record<ProgramMode, number>>;
  const launches = byMode((mode) => {
    const { body, head } = scheduled.programs[mode]!;
    return body.length + head.length;
  });
  const predict = (count: number, mode: ProgramMode) => predictSeconds(count, launches[mode]!, cost);
  const first = programs[0]!;
  const prediction = {
    dense: predict(bytes.dense, "exact"),
    fast: predict(bytes.fast, first),
    slow: predict(bytes.slow, first),
  };
  return {
    gsic: version,
    name: plan.graph.name,
    family: plan.graph.family,
    config,
    model: { source: model.weights.source, fingerprint: model.fingerprint },
    mode: modes[0]!,
    modes,
    targets: code.map(({ target }) => target.name),
    device,
    context: plan.graph.context,
    text_unavailable: model.tokenizerProblem,
    chat: chatReport(model.chat),
    calibration,
    search,
    bytes_per_token: bytes,
    predicted_seconds_per_token: {
      dense: prediction.dense.total,
      fast: prediction.fast.total,
      slow: prediction.slow.total,
    },
    prediction,
    launches_per_token: launches,
    launches_per_layer: byMode((mode) => launchesPerLayer(scheduled.listings[mode]!)),
    linears: [...plan.linears.values()].map((linear) => ({
      ...linear,
      input: linearById(plan.graph, linear.linear).input,
    })),
    kernels: scheduled.kernels.map(({ symbol, summary, launch }, index) => ({
      symbol,
      summary,
      launch,
      resources: resourcesOf(code, index),
    })),
    tuning: device === "cpu" ? null : tuning,
    self_check: check,
    evaluation: null,
    speed: null,
    launch_times: null,
  };
}

/** The program that a mode is shaped by: of `lossless` the one that drafts. */
export function programOf(mode: Mode): ProgramMode {
  return mode === "lossless" ? "bounded" : mode;
}

/** The modes of a build that have a program. */
export function programsOf({ modes }: Pick<Report, "modes">): ProgramMode[] {
  return modes.flatMap((mode) => (mode === "lossless" ? [] : [mode]));
}

/** The file of a build that holds the model's chat template, under the name that the field gives it. */
export const chatTemplateFile = "chat_template.jinja";

function chatReport(chat: Model["chat"]): Report["chat"] {
  return chat && { template: chatTemplateFile, tokens: chat.tokens, end_ids: chat.endIds };
}

/** What a build says of its divisions; `out` is the folder that it goes to. */
export function tuningReport(
  divisions: Schedule["divisions"],
  tuning: Tuning | null,
  out: string,
): TuningReport {
  const measured = new Map(tuning?.shapes.map((shape) => [shapeKey(shape), shape]));
  const distinct = new Map(divisions.flat().map((division) => [shapeKey(division), division]));
  const shapes = [...distinct].map(([key, { type, out: rows, d, matrices, splits }]) => {
    // A choice that the target's workgroups cannot make was left to the rule.
    const found = measured.get(key);
    const used = found?.splits === splits ? found : null;
    const by = used === null ? ("rule" as const) : ("measurement" as const);
    return { type, out: rows, d, matrices, splits, by, device: used?.device ?? null };
  });
  return { file: tuning === null ? null : relative(out, tuning.file), shapes };
}

/** What a kernel takes of each target's device. */
function resourcesOf(code: readonly TargetCode[], kernel: number): Record<string, ResourceFacts> {
  const found = code.flatMap((one) => {
    const facts = "objects" in one ? one.objects[kernel]!.resources : null;
    return facts === null ? [] : [[one.target.name, facts] as const];
  });
  return Object.fromEntries(found);
}
