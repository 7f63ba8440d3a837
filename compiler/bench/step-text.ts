import type { ProgramMode } from "../ir/program.js";
import { size, visible, wrap } from "../support/text.js";
import { table } from "./launches-text.js";
import type { StepLaunch, StepMeasurements } from "./step.js";
import { ceilingLines, microseconds, percent } from "./text.js";

/** The launches of one mode's step for a terminal of 100 columns, those of a kernel in one row, the slowest first. */
export function stepText(measured: StepMeasurements, mode: ProgramMode): string {
  const { model, target, threads, repeat, prompt, tokens, modes } = measured;
  const { step_seconds: step, launches } = modes[mode]!;
  const ceiling = measured.read_ceiling_bytes_per_second!.median;
  const total = sum(launches);
  const kernels = new Map<string, StepLaunch[]>();
  for (const launch of launches) kernels.set(launch.kernel, [...(kernels.get(launch.kernel) ?? []), launch]);
  const rows = [...kernels]
    .sort(([, a], [, b]) => sum(b) - sum(a))
    .map(([kernel, all]) => {
      const seconds = sum(all) / all.length;
      const bytes = all[0]!.weight_bytes;
      const rate = bytes === null || bytes === 0 ? null : bytes / seconds;
      return [
        visible(kernel.replace(/^gsic_/, "")),
        String(all.length),
        bytes ? size(bytes) : "-",
        microseconds(seconds),
        rate === null ? "-" : (rate / 1e9).toFixed(1),
        percent(rate === null ? null : rate / ceiling),
        percent((all.length * seconds) / total, 1),
      ];
    });
  const headings = ["kernel", "in step", "weights", "us each", "GB/s", "of ceiling", "of step"];
  const lines = [
    ...wrap(
      `${model} on ${target}, ${threads} threads, mode ${mode}: each launch where it stands in a token's step; ${repeat} prompts of ${prompt} tokens, ${tokens} tokens behind each`,
      100,
    ),
    ...table([headings, ...rows]),
    ...ceilingLines(measured).flatMap((line) => wrap(line, 100)),
    ...wrap(
      `a step has ${launches.length} launches, which add up to ${microseconds(total)} us; the whole step took ${microseconds(step.median)} us. Medians; a launch contains its barrier. Above 100 % of the ceiling: from caches.`,
      100,
    ),
  ];
  return lines.join("\n");
}

function sum(launches: readonly StepLaunch[]): number {
  return launches.reduce((total, { seconds }) => total + seconds.median, 0);
}
