import { timesOfMode } from "../bench/launch-times.js";
import { launchText, predictionText } from "../inspect/device.js";
import { formGroups } from "../inspect/forms-text.js";
import { checkText } from "../inspect/text.js";
import { programsOf } from "../ir/modes.js";
import type { Estimate } from "../report/evaluation.js";
import type { Measurements } from "../report/measurements.js";
import type { Report } from "../report/report.js";
import { klText } from "../search/kl-text.js";
import { duration, size } from "../support/text.js";
import type { LinearRow, PageData, PageInput } from "./data.js";

/** What page.hbs shows: texts, made here, which it escapes. */
interface View {
  readonly title: string;
  readonly facts: string;
  readonly verdict: string;
  readonly tiles: readonly Tile[];
  readonly linears: readonly LinearView[];
  /** How the linears' times were measured; null where they were not. */
  readonly times: string | null;
  readonly frontier: readonly FrontierView[];
  readonly maxKl: string | null;
  /** What a GGUF file's tensors might take, where that was asked for. */
  readonly maxSize: string | null;
  readonly validationTokens: number | null;
  readonly hasGates: boolean;
  readonly hasActivations: boolean;
  readonly evaluated: boolean;
  readonly quality: readonly QualityView[];
  readonly kernels: readonly KernelView[];
  readonly checks: readonly { readonly name: string; readonly text: string }[];
}

interface Tile {
  readonly label: string;
  readonly value: string;
  readonly note: string;
}

/** Cells of a row; those that are sorted by number carry it beside their text. */
interface LinearView {
  readonly id: string;
  readonly layer: string;
  readonly part: string;
  readonly kind: string;
  readonly cells: readonly { readonly text: string; readonly value: number | string }[];
  readonly verdict: string;
}

interface FrontierView {
  readonly chosen: boolean;
  readonly plan: string;
  readonly bytes: string;
  readonly time: string;
  readonly predicted: string;
  readonly kl: string;
  readonly top1: string;
}

interface QualityView {
  readonly name: string;
  readonly heldout: string;
  readonly calibration: string;
}

interface KernelView {
  readonly symbol: string;
  readonly summary: string;
  readonly facts: readonly { readonly name: string; readonly value: string }[];
  readonly source: string;
}

/** The page's texts and tables. */
export function pageView(input: PageInput, data: PageData): View {
  const { report } = input;
  const { search, evaluation } = report;
  const times = timesText(report);
  return {
    title: report.name,
    facts: `${report.family}, ${data.linears.length} linears, context ${report.context}; for ${report.targets.join(", ")}; ${report.mode} mode`,
    verdict: search?.verdict ?? evaluation?.verdict ?? "The forms were configured; no planner chose them.",
    tiles: tiles(report, data),
    linears: data.linears.map((row) => linearView(row, times !== null)),
    times,
    frontier: search === null ? [] : frontierViews(search),
    maxKl: search === null || search.max_kl === null ? null : String(search.max_kl),
    maxSize: search?.types?.max_bytes == null ? null : size(search.types.max_bytes),
    validationTokens: search?.validation_tokens ?? null,
    hasGates: data.linears.some(({ bytes }) => bytes.fast !== bytes.slow),
    hasActivations: data.inputs.some(({ activations }) => activations !== null),
    evaluated: evaluation !== null,
    quality: qualityViews(report),
    kernels: kernelViews(input),
    checks: checks(report),
  };
}

function tiles(report: Report, data: PageData): Tile[] {
  const { dense, fast, slow } = report.bytes_per_token;
  const { prediction, search, evaluation } = report;
  const read = evaluation?.bytes_per_token.plan_mean ?? (fast === slow ? fast : null);
  const share = (bytes: number) => percent(bytes / dense);
  const found: Tile[] = [
    {
      label: "Weights read per token",
      value: read === null ? `${size(fast)} to ${size(slow)}` : size(read),
      note: read === null ? `as gates decide; dense ${size(dense)}` : `${share(read)} of ${size(dense)}`,
    },
    {
      label: "Predicted time of a token",
      value:
        fast === slow
          ? duration(prediction.fast.total)
          : `${duration(prediction.fast.total)} to ${duration(prediction.slow.total)}`,
      note: `dense ${duration(prediction.dense.total)}`,
    },
  ];
  const chosen = search?.frontier.find((point) => point.chosen);
  const heldout = evaluation?.heldout ?? null;
  if (heldout !== null)
    found.push({
      label: "KL on held-out text",
      value: klText(heldout.kl.value),
      note: `nats per token, ${interval(heldout.kl)}`,
    });
  else if (chosen !== undefined)
    found.push({
      label: "KL on validation text",
      value: klText(chosen.kl.value),
      note: `nats per token, ${interval(chosen.kl)}`,
    });
  if (heldout !== null)
    found.push({
      label: "Top-1 agreement, held-out",
      value: percent(heldout.top1.value),
      note: `${percent(heldout.top1.low)} to ${percent(heldout.top1.high)}`,
    });
  // Reports of earlier versions say nothing.
  if ((report.speed ?? null) !== null) found.push(speedTile(report.speed!, report.mode));
  const rewritten = data.linears.filter(({ kind }) => kind !== "dense").length;
  found.push({
    label: "Rewritten linears",
    value: `${rewritten} of ${data.linears.length}`,
    note: formGroups(report.linears.map(({ form }) => form)).join("; "),
  });
  return found;
}

/** Decoding as it was measured, beside the dense path of the same run. */
function speedTile({ modes, target, threads }: Measurements, mode: string): Tile {
  const { decode_tokens_per_second: rate, decode_ratio_to_exact: ratio } = modes[mode]!;
  if (rate === null || ratio === null)
    return { label: "Measured decoding", value: "-", note: "every text ended at once" };
  return {
    label: "Measured decoding",
    value: `${rate.median.toFixed(rate.median < 10 ? 2 : 0)} tokens/s`,
    note: `${ratio.median.toFixed(2)} times exact mode; ${target}, ${threads} threads`,
  };
}

/** How the linears' times were measured; null where they were not. */
function timesText({ launch_times: times, ...report }: Report): string | null {
  const found = timesOfMode(times, programsOf(report)[0]!);
  if (found === null) return null;
  const { measured, device, target } = found;
  const where = device === "CPU" ? target : `${device} (${target})`;
  const how =
    measured === "in the step"
      ? "where they stand in a token's step, weights from memory or caches as they are by then"
      : "each alone, weights from memory, gates closed";
  return `Measured times are of launches on ${where}, ${how}; of a launch that multiplies by several linears, and does the work around them, each has the part that its bytes are.`;
}

/** `timed`: with what was measured. */
function linearView(row: LinearRow, timed: boolean): LinearView {
  const { bytes, seconds: time, measured } = row;
  const number = (value: number | null, text: (value: number) => string) =>
    value === null ? { text: "", value: -1 } : { text: text(value), value };
  return {
    id: row.id,
    layer: row.layer === null ? "model" : String(row.layer),
    part: row.part,
    kind: row.kind.replace("+", "-"),
    cells: [
      { text: row.kind, value: row.kind },
      number(row.k, String),
      number(row.bits, String),
      number(row.rank, String),
      number(bytes.dense, size),
      bytes.plan === null
        ? { text: `${size(bytes.fast)} to ${size(bytes.slow)}`, value: bytes.slow }
        : number(bytes.plan, size),
      number(time.dense, duration),
      number(time.plan, duration),
      ...(timed ? [number(measured.dense, duration), number(measured.plan, duration)] : []),
      number(row.error, short),
      number(row.klShare, percent),
    ],
    verdict: row.verdict,
  };
}

function frontierViews({
  frontier,
  round_to_nearest: rounded,
  dense,
}: NonNullable<Report["search"]>): FrontierView[] {
  const measured = ({ kl, top1 }: { readonly kl: Estimate; readonly top1: Estimate }) => ({
    kl: `${klText(kl.value)} ${interval(kl)}`,
    top1: percent(top1.value),
  });
  const rows = [
    ...frontier.map((point) => ({
      order: point.bytes_per_token,
      row: {
        chosen: point.chosen,
        plan:
          point.predicted_kl === 0 && point.bytes_per_token === dense.bytes_per_token ? "dense" : "planned",
        bytes: percent(point.bytes_per_token / dense.bytes_per_token),
        time: percent(point.seconds_per_token / dense.seconds_per_token),
        predicted: klText(point.predicted_kl),
        ...measured(point),
      },
    })),
    ...rounded.map((point) => ({
      order: point.bytes_per_token,
      row: {
        chosen: false,
        plan: `round to nearest, ${point.bits} bits`,
        bytes: percent(point.bytes_per_token / dense.bytes_per_token),
        time: "",
        predicted: "",
        ...measured(point),
      },
    })),
  ];
  return rows.sort((a, b) => a.order - b.order).map(({ row }) => row);
}

function qualityViews({ evaluation }: Report): QualityView[] {
  if (evaluation === null) return [];
  const { heldout, calibration } = evaluation;
  const row = (name: string, of: (quality: NonNullable<typeof heldout>) => string): QualityView => ({
    name,
    heldout: heldout === null ? "" : of(heldout),
    calibration: calibration === null ? "" : of(calibration),
  });
  const estimate = (value: Estimate, digits: number) =>
    `${value.value.toFixed(digits)} [${value.low.toFixed(digits)}, ${value.high.toFixed(digits)}]`;
  return [
    row("tokens", ({ tokens }) => String(tokens)),
    row("perplexity", ({ perplexity }) => estimate(perplexity, 3)),
    row("perplexity of the dense model", ({ dense_perplexity: dense }) => estimate(dense, 3)),
    row("perplexity ratio", ({ perplexity_ratio: ratio }) => estimate(ratio, 4)),
    row("KL, nats per token", ({ kl }) => `${klText(kl.value)} ${interval(kl)}`),
    row("top-1 agreement", ({ top1 }) => estimate(top1, 3)),
  ];
}

function kernelViews({ report, program, sources }: PageInput): KernelView[] {
  const launches = Object.entries(program.modes).map(([mode, { body, head }]) => ({
    mode,
    all: [...body, ...head],
  }));
  return report.kernels.map(({ symbol, summary, launch, resources }) => {
    const counts = launches.map(
      ({ mode, all }) => `${all.filter(({ kernel }) => kernel === symbol).length} in ${mode} mode`,
    );
    const facts = [{ name: "launches a token", value: counts.join(", ") }];
    if (launch !== null)
      facts.push(
        { name: "workgroups", value: `${launch.maxWorkgroups}, ${launch.perUnit} a compute unit` },
        { name: "threads", value: String(launch.threads) },
        { name: "LDS", value: `${launch.lds} bytes` },
      );
    for (const [target, facts_] of Object.entries(resources)) {
      const { vgprs, agprs, sgprs, occupancy, scratch, vgprSpills, sgprSpills } = facts_;
      facts.push({
        name: target,
        value: `${vgprs} VGPRs, ${agprs} AGPRs, ${sgprs} SGPRs, ${occupancy} waves a SIMD, ${scratch} bytes of scratch, ${vgprSpills + sgprSpills} spills`,
      });
    }
    return { symbol, summary, facts, source: sources.get(symbol) ?? "" };
  });
}

function checks(report: Report): View["checks"] {
  const { calibration } = report;
  return [
    { name: "Self-check", text: checkText(report) },
    { name: "Launches", text: launchText(report) },
    { name: "Prediction", text: predictionText(report) },
    ...(calibration === null ? [] : [{ name: "Calibration", text: `${calibration.tokens} tokens` }]),
    {
      name: "Model",
      text: `${report.model.source.split("/").at(-1)}, fingerprint ${report.model.fingerprint.slice(0, 16)}`,
    },
    { name: "gsic", text: report.gsic },
  ];
}

function interval({ low, high }: Estimate): string {
  return `[${klText(low)}, ${klText(high)}]`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function short(value: number): string {
  return value === 0 ? "0" : value.toPrecision(3);
}
