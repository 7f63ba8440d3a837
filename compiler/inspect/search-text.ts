import type { Estimate } from "../report/evaluation.js";
import type { SearchReport } from "../report/search.js";
import { klText } from "../search/kl-text.js";
import { size, wrap } from "../support/text.js";

type Row = readonly string[];

const headings: Row = ["  plan", "bytes", "time", "predicted KL", "     KL", "top-1", "lossless"];
const leftAligned: ReadonlySet<number> = new Set([0, 4]);

/** Columns of the longest KL, such as 1.2e-10. */
const klWidth = 7;

/**
 * What the planner found: its verdict, and all that it measured, the cheapest first, `*` before the plan that it chose.
 * Bytes and predicted time are shares of the dense model's; of types of GGUF the first column has the size of the file's tensors. Lines of at most `columns`, which must be 99 at least.
 */
export function searchText(search: SearchReport, columns = 100): string[] {
  const { max_kl: most, validation_tokens: tokens, verdict } = search;
  const types = search.types;
  const purpose =
    types !== undefined && types.max_bytes !== null
      ? `The tensors might take ${size(types.max_bytes)}, and the least KL was looked for.`
      : most === null
        ? "Lossless: how many times as fast as exact decoding drafting with the plan is expected to be; the most was looked for."
        : `The budget is a KL of ${most} nats per token, interval included.`;
  const timed =
    search.cache === undefined
      ? ""
      : `Time is also that of reading the cache behind ${search.cache.tokens} tokens. `;
  const note =
    `Measured on ${tokens} tokens of validation text, with 95 % intervals. Bytes and predicted time are those of the ` +
    `linears, in % of dense. ${timed}${purpose}`;
  return [...wrap(verdict, columns), "", ...table(rowsOf(search)), ...wrap(note, columns)];
}

function rowsOf({ frontier, round_to_nearest: rounded, dense }: SearchReport): Row[] {
  const share = (part: number, whole: number) => `${((100 * part) / whole).toFixed(1)} %`;
  const measured = ({ kl, top1 }: { readonly kl: Estimate; readonly top1: Estimate }): Row => [
    `${klText(kl.value).padStart(klWidth)} [${klText(kl.low)}, ${klText(kl.high)}]`,
    top1.value.toFixed(3),
  ];
  const planned = frontier.map((one) => {
    const isDense = one.bytes_per_token === dense.bytes_per_token && one.predicted_kl === 0;
    const file = one.file_bytes === undefined ? "" : `, ${size(one.file_bytes)}`;
    const cached = one.cache === undefined || one.cache === "f32" ? "" : `, ${one.cache}`;
    const row: Row = [
      `${one.chosen ? "*" : " "} ${isDense ? "dense" : "planned"}${cached}${file}`,
      share(one.bytes_per_token, dense.bytes_per_token),
      share(one.seconds_per_token, dense.seconds_per_token),
      klText(one.predicted_kl),
      ...measured(one),
      `${one.drafting.gain.toFixed(2)} x`,
    ];
    return { bytes: one.bytes_per_token, row };
  });
  const plain = rounded.map((one) => {
    const bytes = one.bytes_per_token;
    const row: Row = [
      `  nearest, ${one.bits} bits`,
      share(bytes, dense.bytes_per_token),
      "",
      "",
      ...measured(one),
      "",
    ];
    return { bytes, row };
  });
  return [...planned, ...plain].sort((a, b) => a.bytes - b.bytes).map(({ row }) => row);
}

function table(rows: readonly Row[]): string[] {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: Row) =>
    row
      .map((cell, column) =>
        leftAligned.has(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join("  ")
      .trimEnd();
  return [line(headings), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)];
}
