import { bytesPerToken, predictSeconds } from "./cost.js";
import type { Evaluation } from "./evaluate/evaluate.js";
import { linearById } from "./graph.js";
import type { CalibrationOrigin, Form, Mode, Plan } from "./ir.js";
import type { Model } from "./model.js";
import type { Schedule } from "./schedule/program.js";
import type { SelfCheck } from "./selfcheck.js";
import type { Target } from "./target.js";

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
  readonly context: number;
  /** Why the executable takes token ids only; null if it takes text. */
  readonly text_unavailable: string | null;
  readonly calibration: { readonly tokens: number; readonly origin: CalibrationOrigin } | null;
  /** Bytes of weights that a token reads in all linears. */
  readonly bytes_per_token: { readonly dense: number; readonly fast: number; readonly slow: number };
  /** Seconds of a token by the target's cost model, from bytes and launches. */
  readonly predicted_seconds_per_token: {
    readonly dense: number;
    readonly fast: number;
    readonly slow: number;
  };
  readonly launches_per_token: Readonly<Partial<Record<Mode, number>>>;
  readonly linears: readonly {
    readonly linear: string;
    /** The value that it reads; linears of one input share their gate. */
    readonly input: string;
    readonly form: Form;
    readonly bytes: { readonly dense: number; readonly fast: number; readonly slow: number };
    readonly verdict: string;
  }[];
  readonly kernels: readonly { readonly symbol: string; readonly summary: string }[];
  readonly self_check: SelfCheck;
  /** What was measured on text, once it was; null until then. */
  readonly evaluation: Evaluation | null;
}

export const version = "0.1.0";

export function reportOf(facts: {
  config: string;
  plan: Plan;
  scheduled: Schedule;
  model: Model;
  modes: readonly Mode[];
  targets: readonly Target[];
  check: SelfCheck;
  calibration: Report["calibration"];
}): Report {
  const { config, plan, scheduled, model, modes, targets, check, calibration } = facts;
  const bytes = bytesPerToken(plan);
  const launches = Object.fromEntries(
    modes.map((mode) => {
      const program = scheduled.programs[mode]!;
      return [mode, program.body.length + program.head.length];
    }),
  ) as Partial<Record<Mode, number>>;
  const seconds = (count: number, mode: Mode) => predictSeconds(count, launches[mode]!, targets[0]!.cost);
  const first = modes[0]!;
  return {
    gsic: version,
    name: plan.graph.name,
    family: plan.graph.family,
    config,
    model: { source: model.weights.source, fingerprint: model.fingerprint },
    mode: first,
    modes,
    targets: targets.map(({ name }) => name),
    context: plan.graph.context,
    text_unavailable: model.tokenizerProblem,
    calibration,
    bytes_per_token: bytes,
    predicted_seconds_per_token: {
      dense: seconds(bytes.dense, "exact"),
      fast: seconds(bytes.fast, first),
      slow: seconds(bytes.slow, first),
    },
    launches_per_token: launches,
    linears: [...plan.linears.values()].map((linear) => ({
      ...linear,
      input: linearById(plan.graph, linear.linear).input,
    })),
    kernels: scheduled.kernels.map(({ symbol, summary }) => ({ symbol, summary })),
    self_check: check,
    evaluation: null,
  };
}
