/** The two protocols: what each calibrates on, the bases it makes, and what `gsic eval` measures of the build. */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import TOML from "@iarna/toml";
import type { Config } from "../../compiler/config/config.js";
import { equationSix } from "../../compiler/evaluate/account.js";
import type { Estimate, Evaluation, TextQuality } from "../../compiler/report/evaluation.js";
import type { Report } from "../../compiler/report/report.js";
import {
  type BreakEven,
  type ByteAccount,
  breakEven,
  byteAccount,
  closedByKind,
  kindOf,
  rewritten,
} from "./account.js";
import { gsic } from "./gsic.js";

/**
 * `paper`: one basis per layer, made of the text that is measured. `honest`: a basis for every input, made of the
 * configured calibration text.
 */
export type ProtocolName = "paper" | "honest";

/** Whether a text was calibrated on (the paper's figure) or not. */
export type Part = "in-sample" | "held-out";

/** What both protocols are run with. */
export interface Settings {
  /** The user's configuration, whose model, texts and targets are taken. */
  readonly config: Config;
  /** Tokens of a sequence. */
  readonly window: number;
  readonly hidden: number;
  /** The inputs of every layer that have the hidden size. */
  readonly shared: readonly (readonly string[])[];
  /** The paper's text: a file that is calibrated on and measured. */
  readonly text: string;
  /** Statistics of that text whose inputs of the hidden size are the same within a layer. */
  readonly sharedStats: string;
  /** What was built and measured is recorded in a folder of this one; builds themselves are removed. */
  readonly out: string;
}

/** What a protocol gives at one k and epsilon on one text. */
export interface Row {
  readonly protocol: ProtocolName;
  readonly k: number;
  readonly epsilon: number;
  readonly part: Part;
  /** Predicted tokens, and the sequences that they stand in; intervals are over sequences. */
  readonly tokens: number;
  readonly windows: number;
  /** f, the fraction of closed gates over all inputs, and its mean by kind of input. */
  readonly closed: number;
  readonly closed_by_kind: Readonly<Record<string, number>>;
  readonly perplexity_ratio: Estimate;
  readonly kl: Estimate;
  readonly top1: Estimate;
  /** Equation 6 with d the hidden size. */
  readonly equation_six: number;
  /** Of the rewritten linears. */
  readonly bytes_per_token: ByteAccount;
  /** Of all linears, as `gsic eval` accounts for them. */
  readonly model_bytes_per_token: { readonly dense: number; readonly mean: number };
}

/** What one build gave. */
export interface Measured {
  readonly protocol: ProtocolName;
  readonly k: number;
  readonly calibration_tokens: number;
  readonly rows: readonly Row[];
  /** What gates must do, by kind of input; `all` is over all of them, `all_per_layer` with V once a layer. */
  readonly break_even: Readonly<Record<string, BreakEven>>;
}

/**
 * Builds and measures one protocol at one k and epsilon. The configuration, report.json and what `gsic eval` printed
 * stay in `<protocol>-k<k>-epsilon<epsilon>/`.
 */
export async function measure(
  protocol: ProtocolName,
  k: number,
  epsilon: number,
  settings: Settings,
): Promise<Measured> {
  const folder = join(settings.out, `${protocol}-k${k}-epsilon${epsilon}`);
  const build = join(folder, "build");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "model.toml");
  writeFileSync(file, modelToml(protocol, k, epsilon, settings));
  const report = await gsic<Report>(["build", file, "--out", build]);
  const { heldout, calibration } = await gsic<Evaluation>(["eval", build]);
  // Statistics that come from a file do not say which text to measure in-sample. What --text names is reported as
  // `heldout`, which this text is not.
  const measured: Readonly<Record<Part, TextQuality>> = {
    "in-sample":
      protocol === "paper"
        ? (await gsic<Evaluation>(["eval", build, "--text", settings.text])).heldout!
        : calibration!,
    "held-out": heldout!,
  };
  rmSync(build, { recursive: true });
  writeFileSync(join(folder, "report.json"), JSON.stringify(report, null, 2));
  writeFileSync(join(folder, "measured.json"), JSON.stringify(measured, null, 2));
  const parts = ["in-sample", "held-out"] as const;
  return {
    protocol,
    k,
    calibration_tokens: report.calibration!.tokens,
    rows: parts.map((part) => rowOf({ protocol, k, epsilon, part }, measured[part], report, settings)),
    break_even: breakEvens(report, heldout!, settings.shared),
  };
}

/** The configuration of a build; statistics replace the text for the paper's. */
function modelToml(protocol: ProtocolName, k: number, epsilon: number, settings: Settings): string {
  const { config, sharedStats } = settings;
  const { text, tokens, window, seed } = config.calibration;
  return TOML.stringify({
    model: modelTable(config),
    calibration: {
      ...(protocol === "paper" ? { stats: sharedStats } : { text: [...text] }),
      tokens,
      window,
      seed,
    },
    heldout: { text: [...config.heldout.text], tokens: config.heldout.tokens },
    quality: { mode: "bounded" },
    plan: { forms: ["gated"], k: [k], epsilon: [epsilon] },
    target: config.target.names === null ? {} : { name: [...config.target.names] },
  });
}

/** The table `model` of a configuration. */
export function modelTable({ model }: Config): TOML.JsonMap {
  return {
    name: model.name,
    source: model.source,
    ...(model.context === null ? {} : { context: model.context }),
  };
}

function rowOf(
  subject: Pick<Row, "protocol" | "k" | "epsilon" | "part">,
  quality: TextQuality,
  report: Report,
  { window, hidden, shared }: Settings,
): Row {
  const { tokens, tiers, perplexity_ratio, kl, top1 } = quality;
  const closed = closedGates(quality);
  const bytes = byteAccount(report.linears, closed, subject.protocol === "paper" ? shared : null);
  const { dense } = report.bytes_per_token;
  return {
    ...subject,
    tokens,
    windows: Math.ceil(tokens / (window - 1)),
    closed: tiers.fast,
    closed_by_kind: closedByKind(closed),
    perplexity_ratio,
    kl,
    top1,
    equation_six: equationSix(tiers.fast, hidden, subject.k),
    bytes_per_token: bytes,
    model_bytes_per_token: { dense, mean: dense - bytes.dense + bytes.per_input },
  };
}

/** The fraction of closed gates of every input that has one. */
function closedGates({ tiers }: TextQuality): Record<string, number> {
  return Object.fromEntries(Object.entries(tiers.by_input).map(([input, { fast }]) => [input, fast]));
}

function breakEvens(
  { linears }: Report,
  quality: TextQuality,
  shared: Settings["shared"],
): Record<string, BreakEven> {
  const gated = rewritten(linears, closedGates(quality));
  const kinds = [...new Set(gated.map(({ input }) => kindOf(input)))];
  return {
    ...Object.fromEntries(
      kinds.map((kind) => [kind, breakEven(gated.filter(({ input }) => kindOf(input) === kind))]),
    ),
    all: breakEven(gated),
    all_per_layer: breakEven(gated, shared),
  };
}
