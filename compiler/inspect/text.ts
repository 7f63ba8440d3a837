import { programsOf } from "../ir/modes.js";
import type { CalibrationOrigin } from "../ir/statistics.js";
import type { EquationSix, Estimate, Evaluation, TextQuality, TierShares } from "../report/evaluation.js";
import type { Report } from "../report/report.js";
import type { FormsCheck } from "../report/self-check.js";
import { wrap } from "../support/text.js";
import { deviceTexts } from "./device.js";
import { formGroups } from "./forms-text.js";
import { searchText } from "./search-text.js";

/** The report of a build for a terminal of 100 columns. */
export function reportText(report: Report, out: string): string {
  const { dense, fast, slow } = report.bytes_per_token;
  const lines = [
    `${report.name}: ${report.family}, ${report.linears.length} linears, context ${report.context}`,
    `  mode        ${report.mode} (the build has ${report.modes.join(", ")})`,
    `  targets     ${deviceTexts[report.device].targets(report)}`,
    ...paragraphs("forms", formGroups(report.linears.map(({ form }) => form))),
    ...keptText(report),
    `  bytes       ${megabytes(dense)} of weights a token, dense`,
  ];
  if (fast !== slow)
    lines.push(
      `              ${megabytes(fast)} with every gate closed, ${megabytes(slow)} with every gate open`,
    );
  else if (fast !== dense)
    lines.push(`              ${megabytes(fast)} in this plan, ${((100 * fast) / dense).toFixed(1)} %`);
  if (report.calibration !== null) {
    lines.push(`  calibration ${report.calibration.tokens} tokens, ${originText(report.calibration.origin)}`);
  }
  lines.push(
    `  launches    ${programsOf(report)
      .map((mode) => `${report.launches_per_token[mode]} a token in ${mode} mode`)
      .join(", ")}`,
  );
  lines.push(...paragraphs("predicted", deviceTexts[report.device].prediction(report)));
  lines.push(`  kernels     ${report.kernels.length}, in ${out}/kernels`);
  lines.push(...paragraph("checked", checkText(report)));
  if (report.text_unavailable !== null)
    lines.push(`  text        token ids only: ${report.text_unavailable}`);
  if (report.search !== null) lines.push("", ...searchText(report.search));
  const prompt = report.text_unavailable === null ? '"Once upon a time"' : "--ids 1,2,3";
  lines.push("", `Run it:  ${out}/${report.name} ${prompt}`);
  return lines.join("\n");
}

/** How a build keeps its cache, where that rounds, and its weights, where that was measured; for 100 columns. */
export function keptText(report: Pick<Report, "cache" | "storage">): string[] {
  return [...paragraphs("cache", cacheText(report)), ...paragraphs("storage", storageText(report))];
}

const layers = (count: number) => `${count} ${count === 1 ? "layer" : "layers"}`;

/** What the plan's cache is, where it rounds. */
function cacheText({ cache }: Pick<Report, "cache">): readonly string[] {
  const { types, bytes_per_position: bytes, dense_bytes_per_position: dense } = cache;
  const kinds = [...new Set(types)];
  if (kinds.every((type) => type === "f32")) return [];
  const counts = kinds.map((type) => `${type} in ${layers(types.filter((other) => other === type).length)}`);
  return [
    `${counts.join(", ")}; a token reads ${bytes} bytes of each position before it, in exact mode ${dense}`,
  ];
}

/** How weights are kept, where that was measured. */
function storageText({ storage }: Pick<Report, "storage">): readonly string[] {
  if (storage === undefined) return [];
  const { measured, packed, calls } = storage;
  if (measured === null) return ["as stored: nothing can be packed, or the target does not run here"];
  const gains = calls.map(
    ({ shapes, stored_seconds: stored, packed_seconds: fewer }) =>
      `${shapes.join(" + ")} ${(stored / fewer).toFixed(2)} x`,
  );
  const kept = packed.length === 0 ? "all as stored" : `packed: ${packed.join(", ")}`;
  return [`${kept}; packed against stored, ${measured.target}: ${gains.join(", ")}`];
}

/** What `gsic eval` prints. */
export function evaluationText(evaluation: Evaluation): string {
  const { heldout, calibration } = evaluation;
  const columns: [string, TextQuality][] = [];
  if (heldout !== null) columns.push(["held-out", heldout]);
  if (calibration !== null) columns.push(["calibration (in-sample)", calibration]);
  const rows: Row[] = [
    ["tokens", ({ tokens }) => String(tokens)],
    ["perplexity", ({ perplexity }) => estimate(perplexity, 3)],
    ["  of the dense model", ({ dense_perplexity }) => estimate(dense_perplexity, 3)],
    ["  ratio", ({ perplexity_ratio }) => estimate(perplexity_ratio, 4)],
    ["KL, nats per token", ({ kl }) => (kl.value < 5e-4 ? small(kl) : estimate(kl, 4))],
    ["top-1 agreement", ({ top1 }) => estimate(top1, 4)],
    ...tierRows(columns.map(([, quality]) => quality)),
  ];
  const table = rows.map(([title, cell]) =>
    `${title.padEnd(24)}${columns.map(([, quality]) => cell(quality).padEnd(36)).join("")}`.trimEnd(),
  );
  const head =
    `${`mode ${evaluation.mode}`.padEnd(24)}${columns.map(([title]) => title.padEnd(36)).join("")}`.trimEnd();
  const { dense, plan_fast: fast, plan_mean: mean } = evaluation.bytes_per_token;
  const atBest = fast === mean ? "" : ` (held-out mean), ${megabytes(fast)} with every gate closed`;
  const bytes = `Weights read per token: ${megabytes(dense)} dense, ${megabytes(mean)} by the plan${atBest}.`;
  const sentences = [
    "Brackets: 95 % bootstrap intervals over windows of text.",
    bytes,
    evaluation.verdict,
    ...equationSixText(evaluation),
    ...budgetText(evaluation),
  ];
  return [head, ...table, ...sentences.flatMap((sentence) => wrap(sentence, 100))].join("\n");
}

type Row = [title: string, cell: (quality: TextQuality) => string];

/** Tokens by tier; no rows where nothing has a gate. */
function tierRows(qualities: readonly TextQuality[]): Row[] {
  if (qualities.every(({ tiers }) => Object.keys(tiers.by_input).length === 0)) return [];
  const hasMiddle = qualities.some(({ tiers }) => tiers.middle > 0);
  const row = (tier: keyof TierShares): Row => [
    `tokens in ${tier} tier`,
    ({ tiers }) => `${(tiers[tier] * 100).toFixed(1)} %`,
  ];
  return [row("fast"), ...(hasMiddle ? [row("middle")] : []), row("slow")];
}

function equationSixText({ equation_six: figures }: Evaluation): string[] {
  if (figures === null) return [];
  const text = ({ speedup, bytes_speedup: bytes }: EquationSix) =>
    `${speedup.toFixed(2)} times; their bytes, bases included, say ${bytes.toFixed(2)} times`;
  const { heldout, calibration } = figures;
  const inSample = calibration === null ? "" : ` (in-sample ${text(calibration)})`;
  const what = `Speed-up by the paper's equation 6 of the ${heldout.linears} linears with a subspace gate`;
  return [`${what}: ${text(heldout)}${inSample}.`];
}

function budgetText({ heldout, max_kl: most, within_max_kl: within, planned }: Evaluation): string[] {
  if (most === null || heldout === null) return [];
  const { kl } = heldout;
  const whose = planned ? "the planner's budget" : "the budget";
  const reaches = within && kl.high > most ? ", though its interval reaches above" : "";
  return [
    `The held-out KL, ${estimate(kl, 4)}, is ${within ? "within" : "above"} ${whose}, max_kl = ${most}${reaches}.`,
  ];
}

function originText(origin: CalibrationOrigin): string {
  switch (origin.kind) {
    case "text":
      return `from ${origin.files.length === 1 ? "one file" : `${origin.files.length} files`} of text`;
    case "sampled":
      return `sampled from the model itself (temperature ${origin.temperature}, seed ${origin.seed})`;
    case "file":
      return `from ${origin.file}`;
    default:
      return origin satisfies never;
  }
}

/** What a build was compared with before it was published. */
export function checkText({ self_check: check }: Report): string {
  if (check.skipped !== null) return `not against the oracle: ${check.skipped}`;
  const { layers, tiles_compared: tiles, kernels_not_compared: others } = check;
  const part = layers.compared < layers.of ? ` of ${layers.compared} of ${layers.of} layers` : "";
  const also = tiles > 0 ? `, and ${tiles} tiles of all matrices as stored` : "";
  const but = others.length > 0 ? `; not compared: ${others.join(", ")}` : "";
  const exact = `exact logits${part} within ${check.exactError!.toExponential(1)} of the float64 oracle (${check.tokens} tokens)${also}${but}`;
  const text = `${exact}${formsCheckText(check.forms ?? null, check.tokens)}`;
  const reads = check.weight_reads?.exact;
  if (reads === undefined) return text;
  return `${text}, on simulated lanes, which read ${(100 * reads.ratio).toFixed(1)} % of the bytes planned`;
}

/** What was found of rewritten linears; null, and nothing, for builds of exact mode and parts of models. */
function formsCheckText(check: FormsCheck | null, all: number): string {
  if (check === null) return "";
  const { tokens, error, matrices } = check;
  const held = matrices > 0 ? `, and ${matrices} matrices at few bits as they were made` : "";
  if (error === null)
    return `; logits by the plan not compared: the first token's gates are too close${held}`;
  const others =
    tokens < all ? `first ${tokens} tokens; a gate of the next is too close` : `${tokens} tokens`;
  return `; logits by the plan within ${error.toExponential(1)} of its own oracle (${others})${held}`;
}

/** A title and a text that may take several lines. */
function paragraph(title: string, text: string): string[] {
  return paragraphs(title, [text]);
}

/** A title and texts, each of which begins a line. */
function paragraphs(title: string, texts: readonly string[]): string[] {
  const lines = texts.flatMap((text) => wrap(text, 86));
  return lines.map((line, index) => `  ${(index === 0 ? title : "").padEnd(11)} ${line}`);
}

function small({ value, low, high }: Estimate): string {
  return `${value.toExponential(1)} [${low.toExponential(1)}, ${high.toExponential(1)}]`;
}

function estimate({ value, low, high }: Estimate, digits: number): string {
  return `${value.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`;
}
