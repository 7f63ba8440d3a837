import type { MeasuredCost } from "../report/tuning.js";
import { visible, wrap } from "../support/text.js";
import { table } from "./launches-text.js";
import { ceilingLines, gigabytes, microseconds } from "./text.js";
import type { TuningMeasurements } from "./tune.js";

/** What times are predicted with. */
function costText({ bandwidth, launch, step }: MeasuredCost): string {
  return `Times are predicted with ${gigabytes(bandwidth)} GB/s, ${microseconds(step)} us a dependent launch, and ${microseconds(launch)} us a sequence from now on.`;
}

/** What was measured for each shape, for a terminal of 100 columns: microseconds by splits. */
export function tuneText(measured: TuningMeasurements): string {
  const { model, target, device, file, shapes } = measured;
  const splits = [...new Set(shapes.flatMap(({ candidates }) => candidates.map((one) => one.splits)))].sort(
    (a, b) => a - b,
  );
  const headings = ["shape", ...splits.map((one) => `${one}, us`), "rule", "choice"];
  const rows = shapes.map(({ type, out, d, matrices, candidates, rule, splits: choice }) => [
    `${type} ${out}x${d}${matrices === 2 ? ", pair" : ""}`,
    ...splits.map((one) => {
      const candidate = candidates.find((each) => each.splits === one);
      if (candidate === undefined) return "-";
      return candidate.seconds === null ? "spills" : microseconds(candidate.seconds);
    }),
    String(rule),
    String(choice),
  ]);
  const changed = shapes.filter((shape) => shape.splits !== shape.rule).length;
  const head = `${model} on ${target} (${visible(device)}): a launch, weights from memory, by the waves that share a tile; median of ${measured.repeat}`;
  const notes = [
    ...ceilingLines(measured),
    ...(measured.cold_short
      ? ["Too little memory is free for more than 512 MiB: caches may flatter these times."]
      : []),
    ...(measured.cost === null ? [] : [costText(measured.cost)]),
    `${changed} of ${shapes.length} shapes do better than by the rule. Written to ${file}; the next gsic build reads it.`,
  ];
  return [
    ...wrap(head, 100),
    ...table([headings, ...rows]),
    ...notes.flatMap((line) => wrap(line, 100)),
  ].join("\n");
}
