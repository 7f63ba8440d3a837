import type { Built } from "../build-folder/open.js";
import { runTool } from "../cc/tool.js";
import type { Spread } from "../report/measurements.js";

/** Decoding beside processes that keep the CPUs busy: what `gsic-tool beside` prints. */
interface Beside {
  readonly processes: number;
  /** With threads that adapt, as every program has them. */
  readonly adapting_tokens_per_second: Spread;
  readonly ratio_to_best_fixed: Spread;
  readonly fixed: readonly { readonly threads: number; readonly tokens_per_second: Spread }[];
}

/** Measures the build's default mode beside so many busy processes. CPUs only. */
export async function measureBeside(
  { bundle }: Pick<Built, "bundle">,
  processes: number,
  { repeat, threads }: { readonly repeat: number; readonly threads?: number | undefined },
): Promise<Beside> {
  const settings = ["--processes", String(processes), "--repeat", String(repeat)];
  if (threads !== undefined) settings.push("--threads", String(threads));
  return JSON.parse(await runTool(["beside", bundle, ...settings])) as Beside;
}

/** The measurements for a terminal. */
export function besideText({ processes, adapting_tokens_per_second: rate, ...measured }: Beside): string {
  const number = ({ median, least, most }: Spread) =>
    `${median.toFixed(1)} (${least.toFixed(1)}-${most.toFixed(1)})`;
  const ratio = measured.ratio_to_best_fixed;
  return [
    `decoding beside ${processes} processes that keep the CPUs busy, tokens/s; medians, and spread over repetitions`,
    ...measured.fixed.map(
      ({ threads, tokens_per_second }) =>
        `  ${String(threads).padStart(4)} threads, fixed   ${number(tokens_per_second)}`,
    ),
    `  threads that adapt   ${number(rate)}: ${ratio.median.toFixed(2)} x the best of these (${ratio.least.toFixed(2)}-${ratio.most.toFixed(2)})`,
  ].join("\n");
}
