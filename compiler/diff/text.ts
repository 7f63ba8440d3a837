import { formText } from "../ir/forms.js";
import type { ByteAccount } from "../ir/plan.js";
import { partOf } from "../ir/walk.js";
import type { Estimate } from "../report/evaluation.js";
import { klText } from "../search/kl-text.js";
import { duration, size, visible, wrap } from "../support/text.js";
import type { BuildDiff, LinearChange, Pair } from "./diff.js";

/** What `gsic diff` prints. No line is longer than `columns`, which must be 80 at least. */
export function diffText(diff: BuildDiff, columns = 100): string {
  const [first, second] = diff.builds;
  const head = [`first   ${visible(first.folder)}`, `second  ${visible(second.folder)}`];
  const lines = head.flatMap((line) => wrap(line, columns));
  if (diff.same)
    return [...lines, "The two builds do not differ in forms, bytes, quality or kernels."].join("\n");
  if (!diff.same_model) lines.push("They are builds of different weights.");
  lines.push("", ...figureLines(diff), "", ...linearLines(diff.linears, columns));
  lines.push("", ...kernelLines(diff.kernels, columns));
  return lines.join("\n");
}

/** Title, first, second, change. */
type Row = readonly [string, string, string, string];

function figureLines(diff: BuildDiff): string[] {
  const { builds, bytes_per_token: bytes, predicted_seconds_per_token: seconds, quality } = diff;
  const [first, second] = builds;
  const rows: Row[] = [
    ...textRow("name", first.name, second.name),
    ...textRow("gsic", first.gsic, second.gsic),
    ...textRow("mode", first.mode, second.mode),
    ...textRow("targets", first.targets.join(), second.targets.join()),
    ...numberRow("bytes a token, dense", bytes.dense, size),
    ...planRows(bytes.fast, bytes.slow, size),
    ...numberRow("  mean on held-out text", quality.mean_bytes_per_token, size),
    ...numberRow("predicted time, dense", seconds.dense, duration),
    ...planRows(seconds.fast, seconds.slow, duration),
    ...Object.entries(diff.launches_per_token).flatMap(([mode, counts]) =>
      numberRow(`launches a token, ${mode}`, counts, String),
    ),
    ...estimateRow("KL, validation", quality.validation_kl, klText),
    ...estimateRow("KL, held-out", quality.heldout_kl, klText),
    ...estimateRow("KL, in-sample", quality.calibration_kl, klText),
    ...estimateRow("perplexity ratio, held-out", quality.heldout_perplexity_ratio, (value) =>
      value.toFixed(4),
    ),
    ...estimateRow("top-1, held-out", quality.heldout_top1, (value) => value.toFixed(3)),
    ...Object.entries(diff.speed).flatMap(([mode, speeds]) =>
      speeds === undefined
        ? []
        : numberRow(`tokens/s measured, ${mode}`, speeds, (value) => value.toFixed(1)),
    ),
  ];
  const table: Row[] = [["", "first", "second", "change"], ...rows];
  const most = [27, 25, 25, 12] as const;
  const widths = most.map((width, column) =>
    Math.min(width, Math.max(...table.map((row) => row[column]!.length))),
  );
  return table.map((row) =>
    row
      .map((cell, column) => cut(cell, most[column]!).padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 3)}...`;
}

function textRow(title: string, first: string, second: string): Row[] {
  return [[title, visible(first), visible(second), first === second ? "" : "other"]];
}

/** What a plan costs; one row where neither build has a gate. */
function planRows(fast: Pair<number>, slow: Pair<number>, text: (value: number) => string): Row[] {
  if (fast[0] === slow[0] && fast[1] === slow[1]) return numberRow("  by the plan", fast, text);
  return [
    ...numberRow("  by the plan, gates closed", fast, text),
    ...numberRow("  by the plan, gates open", slow, text),
  ];
}

/** No row where neither build has the figure. */
function numberRow(title: string, [first, second]: Pair<number>, text: (value: number) => string): Row[] {
  if (first === null && second === null) return [];
  const cell = (value: number | null) => (value === null ? "-" : text(value));
  return [[title, cell(first), cell(second), changeText(first, second)]];
}

function estimateRow(title: string, [first, second]: Pair<Estimate>, text: (value: number) => string): Row[] {
  if (first === null && second === null) return [];
  const cell = (one: Estimate | null) =>
    one === null ? "-" : `${text(one.value)} [${text(one.low)}, ${text(one.high)}]`;
  return [[title, cell(first), cell(second), changeText(first?.value ?? null, second?.value ?? null)]];
}

function changeText(first: number | null, second: number | null): string {
  if (first === null || second === null || first === second || first === 0) return "";
  const percent = 100 * (second / first - 1);
  return `${percent > 0 ? "+" : ""}${percent.toFixed(1)} %`;
}

/** Linears that changed; those of several layers that changed alike stand together. */
function linearLines(
  { same, changed, only_in_first, only_in_second }: BuildDiff["linears"],
  columns: number,
): string[] {
  const alike = new Map<string, { part: string; layers: number[]; change: LinearChange }>();
  for (const change of changed) {
    const { linear, layer } = change;
    const part = partOf({ id: linear, layer });
    const key = JSON.stringify([part, change.form, change.bytes]);
    const group = alike.get(key) ?? { part, layers: [], change };
    if (layer !== null) group.layers.push(layer);
    alike.set(key, group);
  }
  return [
    `Linears: ${changed.length} changed, ${same} the same.`,
    ...[...alike.values()].flatMap(({ part, layers, change }) => {
      const where = layers.length === 0 ? "" : `, ${layersText(layers)}`;
      const [before, after] = change.bytes;
      const forms = `${formText(change.form[0])} -> ${formText(change.form[1])}`;
      return indented(
        `${visible(part)}${where}: ${forms}; ${bytesText(before)} -> ${bytesText(after)}`,
        columns,
      );
    }),
    ...listLines("only in the first", only_in_first, columns),
    ...listLines("only in the second", only_in_second, columns),
  ];
}

function bytesText({ fast, slow }: ByteAccount): string {
  return fast === slow ? size(fast) : `${size(fast)} to ${size(slow)}`;
}

/** `layer 3`, or `layers 0-2, 5`; ascending. */
function layersText(layers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const layer of layers) {
    const last = runs.at(-1);
    if (last !== undefined && layer === last[1] + 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  const texts = runs.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`));
  return `${layers.length === 1 ? "layer" : "layers"} ${texts.join(", ")}`;
}

function kernelLines({ same, changed, ...kernels }: BuildDiff["kernels"], columns: number): string[] {
  const what = ({ source, facts }: (typeof changed)[number]) =>
    [...(source ? ["source"] : []), ...(facts ? ["resource facts"] : [])].join(" and ");
  return [
    `Kernels: ${changed.length} changed, ${same} the same.`,
    ...changed.flatMap((one) => indented(`${one.symbol}: other ${what(one)}`, columns)),
    ...listLines("only in the first", kernels.only_in_first, columns),
    ...listLines("only in the second", kernels.only_in_second, columns),
    ...listLines("headers that differ", kernels.headers, columns),
  ];
}

function listLines(title: string, names: readonly string[], columns: number): string[] {
  return names.length === 0 ? [] : indented(`${title}: ${names.map(visible).join(", ")}`, columns);
}

/** A paragraph whose first line stands two columns in, the others four. */
function indented(text: string, columns: number): string[] {
  return wrap(text, columns - 4).map((line, index) => (index === 0 ? `  ${line}` : `    ${line}`));
}
