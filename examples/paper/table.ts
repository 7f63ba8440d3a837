import type { Estimate } from "../../compiler/report/evaluation.js";
import type { BreakEven } from "./account.js";
import type { CascadeLayer } from "./cascade.js";
import type { Row } from "./protocol.js";

/** All that a run found: what table.json holds. */
export interface Result {
  readonly model: { readonly name: string; readonly fingerprint: string; readonly hidden_size: number };
  /** Tokens that each protocol calibrated on; null before it did. */
  readonly calibration_tokens: { readonly paper: number; readonly honest: number | null };
  /** Kinds of inputs that have one basis per layer, and those that the paper has none for, which have their own. */
  readonly inputs: { readonly shared: readonly string[]; readonly own: readonly string[] };
  readonly rows: readonly Row[];
  /** By k, then by kind of input; `all` is over all kinds, `all_per_layer` the same with V once a layer. */
  readonly break_even: Readonly<Record<string, Readonly<Record<string, BreakEven>>>>;
  /** By k. */
  readonly cascade: Readonly<Record<string, readonly CascadeLayer[]>>;
}

/** Fewer sequences have too few distinct resamples for 2.5 % at each end. */
const leastWindows = 5;

/** The whole document. */
export function markdown(result: Result): string {
  const { model, inputs, calibration_tokens } = result;
  const own =
    inputs.own.length === 0
      ? "No input has another width."
      : `The paper's basis is not defined for inputs of another width (${inputs.own.join(", ")}): each has its own there, of the same k and text.`;
  return [
    `# ${model.name}: the protocol of arXiv 2605.03109, and the honest one`,
    `**paper**: one basis per layer, shared by its inputs of the hidden size, ${model.hidden_size} (${inputs.shared.join(", ")}), made of ${calibration_tokens.paper} tokens; in-sample means measured on those same tokens, as the paper does. ${own} **honest**: a basis for every input, made of ${calibration_tokens.honest ?? "more"} tokens. Held-out text is the same for both, and neither has seen it.`,
    "## Quality",
    quality(result.rows),
    "Perplexity ratio, KL (nats a token) and top-1 agreement are against the dense model, with 95 % intervals over sequences; where there are fewer than 5 sequences there is none.",
    "## Gates closed, by kind of input",
    gates(result.rows),
    "## Weight reads",
    reads(result.rows),
    "How many times less is read than dense; below 1 more is read. Equation 6 is 1 / [f / (d / k) + (1 - f)] with f of the table above and d the hidden size; it leaves out the reads of V. The byte accounts are those of report.json: of the rewritten linears with V once a layer (as the paper shares it), the same with V once for every input (as it is read, since Vᵀx differs), and of all linears with the output head.",
    "## Fraction of gates that must be closed",
    breakEvens(result),
    "From this f on less is read than dense: bytes of V / (bytes of W - bytes of W V).",
    "## The cascade",
    cascades(result),
    "Cosine: mean over the principal angles between a layer's basis and that of the layer before; random subspaces have at most √(k / d). Energy: E‖x − V Vᵀx‖² of E‖x‖², over the calibration text, outside the best V, outside the basis of the layer before as it is, and outside it after each step of subspace iteration. The builds above have the best V.",
    "",
  ].join("\n\n");
}

function quality(rows: readonly Row[]): string {
  const header = [...subjectHeader, "tokens", "sequences", "gates closed", "perplexity ratio", "KL", "top-1"];
  return table(
    header,
    rows.map((row) => [
      ...subject(row),
      String(row.tokens),
      String(row.windows),
      percent(row.closed),
      estimate(row.perplexity_ratio, row.windows, (value) => value.toFixed(4)),
      estimate(row.kl, row.windows, (value) => value.toPrecision(3)),
      estimate(row.top1, row.windows, percent),
    ]),
  );
}

function gates(rows: readonly Row[]): string {
  const kinds = [...new Set(rows.flatMap(({ closed_by_kind }) => Object.keys(closed_by_kind)))];
  return table(
    [...subjectHeader, ...kinds, "all"],
    rows.map((row) => [
      ...subject(row),
      ...kinds.map((kind) => percent(row.closed_by_kind[kind]!)),
      percent(row.closed),
    ]),
  );
}

function reads(rows: readonly Row[]): string {
  const header = ["f", "equation 6", "bytes, V per layer", "bytes, V per input", "whole model"];
  return table(
    [...subjectHeader, ...header],
    rows.map((row) => {
      const { dense, per_input, per_layer } = row.bytes_per_token;
      const model = row.model_bytes_per_token;
      return [
        ...subject(row),
        percent(row.closed),
        times(row.equation_six),
        per_layer === null ? "–" : times(dense / per_layer),
        times(dense / per_input),
        times(model.dense / model.mean),
      ];
    }),
  );
}

function breakEvens({ break_even }: Result): string {
  const names: Readonly<Record<string, string>> = { all: "all", all_per_layer: "all, V per layer" };
  const rows = Object.entries(break_even).flatMap(([k, kinds]) =>
    Object.entries(kinds).map(([kind, { closed }]) => [
      k,
      names[kind] ?? kind,
      closed === null || closed >= 1 ? "never" : percent(closed),
    ]),
  );
  return table(["k", "input", "f"], rows);
}

function cascades({ cascade }: Result): string {
  const steps = Math.max(
    ...Object.values(cascade).flatMap((layers) =>
      layers.map(({ outside_cascade }) => outside_cascade.length),
    ),
  );
  const header = Array.from({ length: steps }, (_, step) => (step === 0 ? "of the layer before" : `${step}`));
  const rows = Object.entries(cascade).flatMap(([k, layers]) =>
    layers.map(({ layer, cosine, outside_exact, outside_cascade }) => [
      k,
      String(layer),
      cosine === null ? "–" : cosine.toFixed(3),
      fraction(outside_exact),
      ...header.map((_, step) => fraction(outside_cascade[step] ?? null)),
    ]),
  );
  return table(["k", "layer", "cosine", "outside: best", ...header], rows);
}

const subjectHeader = ["protocol", "k", "epsilon", "text"];

function subject({ protocol, k, epsilon, part }: Row): string[] {
  return [protocol, String(k), epsilon.toFixed(2), part];
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function estimate({ value, low, high }: Estimate, windows: number, text: (value: number) => string): string {
  return windows < leastWindows ? text(value) : `${text(value)} [${text(low)}, ${text(high)}]`;
}

function percent(value: number): string {
  return `${(100 * value).toFixed(1)} %`;
}

function times(value: number): string {
  return `${value.toFixed(2)}x`;
}

function fraction(value: number | null): string {
  return value === null ? "–" : value.toPrecision(3);
}
