import type { Spread } from "../report/measurements.js";
import { size, visible, wrap } from "../support/text.js";
import type { LaunchMeasurements } from "./launches.js";
import { ceilingLines, microseconds, percent } from "./text.js";

/** Columns of a terminal. */
const width = 100;

/** The measured launches for a terminal of 100 columns. */
export function launchesText(measured: LaunchMeasurements): string {
  const { model, mode, target, device, units, step, position } = measured;
  const head = `${model} on ${target} (${visible(device)}), ${units} compute units, mode ${mode}: each launch alone, one token at position ${position}`;
  const rows = measured.launches.map((one) => [
    visible(`${one.kernel.replace(/^gsic_/, "")}${one.gate === null ? "" : `, gate ${one.gate}`}`),
    String(one.in_step),
    one.weight_bytes ? size(one.weight_bytes) : "-",
    spread(one.cold_seconds),
    rate(one.cold_bytes_per_second),
    percent(one.cold_share_of_ceiling),
    spread(one.cached_seconds),
  ]);
  const headings = ["kernel", "in step", "weights", "cold, us", "GB/s", "of ceiling", "cached, us"];
  const { closed, open } = step.seconds;
  const sum =
    closed === open
      ? `${microseconds(closed)} us`
      : `${microseconds(closed)} us with every gate closed, ${microseconds(open)} us open`;
  const notes = [
    ...ceilingLines(measured),
    `a step has ${step.launches} launches; their times alone add up to ${sum} (cold where there are weights)`,
    `Median of ${measured.repeat}, and half the spread. Cold: at least ${size(measured.cold_bytes)} are read between two reads of the same byte. A time contains the fixed cost.`,
    ...(measured.cold_short
      ? ["Too little memory is free on the device for more than 512 MiB: caches may flatter the cold times."]
      : []),
  ];
  const lines = [
    ...wrap(head, width),
    ...table([headings, ...rows]),
    ...notes.flatMap((line) => wrap(line, width)),
  ];
  return lines.join("\n");
}

/** Rows under headings; the first column is cut where the rest needs the room. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const rest = widths.slice(1).reduce((sum, one) => sum + one + 2, 0);
  widths[0] = Math.min(widths[0]!, Math.max(width - rest, 8));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const room = widths[column]!;
        if (column > 0) return cell.padStart(room);
        return (cell.length <= room ? cell : `${cell.slice(0, room - 3)}...`).padEnd(room);
      })
      .join("  ")
      .trimEnd(),
  );
}

/** Seconds as microseconds, with half the distance from the least to the most. */
function spread(seconds: Spread | null): string {
  if (seconds === null) return "-";
  return `${microseconds(seconds.median)} ±${microseconds((seconds.most - seconds.least) / 2)}`;
}

function rate(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? "-" : (bytesPerSecond / 1e9).toFixed(1);
}
