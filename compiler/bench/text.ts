import type { Ceiling, Measurements, Spread } from "../report/measurements.js";
import { wrap } from "../support/text.js";
import type { Scaling } from "./modes.js";

/** The measurements for a terminal of 100 columns: ratios to the dense path of the same run first. */
export function benchText(measured: Measurements, prompts: "held-out text" | "fixed ids"): string {
  const dense = measured.modes.exact!;
  // CPUs name themselves by nothing that says more than the target.
  const gpu = measured.device !== "CPU";
  const workers = gpu
    ? `(${measured.device}), ${measured.threads} compute units`
    : `${measured.threads} threads`;
  const { repeat, prompt, tokens, prefill } = measured;
  const lines = [
    `${measured.model} on ${measured.target}${gpu ? "" : ","} ${workers}`,
    ...wrap(
      `${repeat} prompts of ${prompt} tokens (${prompts}), up to ${tokens} tokens behind each; medians, and spread from prompt to prompt`,
      100,
    ),
    `mode      x exact             tokens/s              first of ${String(prefill).padEnd(5)}  as exact  ceiling  launches`,
  ];
  for (const [mode, one] of Object.entries(measured.modes)) {
    const cells = [
      mode.padEnd(8),
      spreadText(one.decode_ratio_to_exact, 2).padEnd(18),
      spreadText(
        one.decode_tokens_per_second,
        (one.decode_tokens_per_second?.most ?? 0) < 1000 ? 1 : 0,
      ).padEnd(20),
      `${one.seconds_to_first_token.median.toPrecision(3)} s`.padEnd(14),
      percent(one.tokens === 0 ? null : one.tokens_as_exact / one.tokens, 1).padEnd(8),
      percent(one.share_of_ceiling).padEnd(7),
      percent(one.share_of_launches),
    ];
    lines.push(cells.join("  ").trimEnd());
  }
  for (const [mode, { drafts, decode_ratio_to_exact: ratio }] of Object.entries(measured.modes)) {
    if (drafts === null) continue;
    const mean = ratio === null ? "" : `, mean of prompts ${ratio.mean.toFixed(2)} x exact`;
    const looked = drafts.looked_up === 0 ? "" : `, ${drafts.looked_up} of them looked up in the text`;
    lines.push(
      ...wrap(
        `${mode}: ${drafts.mean_length.toFixed(1)} tokens proposed a pass of the exact weights, ${percent(drafts.acceptance)} accepted${looked}${mean}`,
        100,
      ),
    );
  }
  const launch = measured.seconds_per_empty_launch;
  const each = launch === null ? "" : ` of at least ${microseconds(launch.median)} us`;
  lines.push(
    ...ceilingLines(measured).flatMap((line) => wrap(line, 100)),
    `weights read per token, exact: ${(dense.bytes_per_token! / 1e6).toFixed(1)} MB in ${dense.launches} launches${each}`,
    ...prefillLines(measured),
    ...((dense.share_of_ceiling ?? 0) > 1
      ? ["Above 100 %: these weights fit into the caches."]
      : hugePageLines(measured)),
  );
  return lines.join("\n");
}

/** Decoding by threads, as ratios to one thread. */
export function scalingText(scaling: readonly Scaling[]): string {
  const first = scaling[0]!.decode_tokens_per_second;
  const rows = scaling.map(({ threads, decode_tokens_per_second: rates }) => {
    const cells = Object.entries(rates).map(([mode, rate]) => {
      const base = first[mode];
      if (rate === null || !base) return `${mode} -`;
      return `${mode} ${(rate.median / base.median).toFixed(2)} x (${rate.median.toFixed(1)})`;
    });
    return `  ${String(threads).padStart(4)}  ${cells.join("   ")}`;
  });
  return ["decoding by threads, x one thread (tokens/s):", ...rows].join("\n");
}

/** What bounds a token's time, in a few lines. */
export function ceilingLines(measured: Ceiling): string[] {
  const { read_ceiling_bytes_per_second: ceiling, seconds_per_sequence: sequence } = measured;
  if (ceiling === null)
    return ["read ceiling: not measured; build again, so that the bundle has the kernel that measures it"];
  const lines = [
    `read ceiling: ${gigabytes(ceiling.median)} GB/s (${gigabytes(ceiling.least)} to ${gigabytes(ceiling.most)}), measured in this run on ${((measured.read_ceiling_bytes ?? 0) / 2 ** 20).toFixed(0)} MiB`,
  ];
  if (measured.read_ceiling_short)
    lines.push(
      "  too little memory is free on the device for more than 512 MiB: caches may flatter the ceiling",
    );
  const launch = measured.seconds_per_empty_launch;
  if (sequence !== null && launch !== null)
    lines.push(
      `fixed cost: ${microseconds(launch.median)} us (${microseconds(launch.least)} to ${microseconds(launch.most)}) a dependent launch that reads nothing; ${microseconds(sequence.median)} us to issue and await a sequence`,
    );
  return lines;
}

/** How far prefill gets towards what the machine can multiply; nothing where that is not known. */
function prefillLines(measured: Measurements): string[] {
  const { modes, prefill, multiply_adds_per_prefill_token: work, multiply_adds_per_second: peak } = measured;
  if (!peak) return [];
  const shares = Object.entries(modes).map(
    ([mode, { prefill_tokens_per_second: rate }]) => `${mode} ${percent((work * rate.median) / peak.median)}`,
  );
  return wrap(
    `prefill of ${prefill} tokens, multiply-adds by weights, of the peak of f32: ${shares.join(", ")}; peak: ${(peak.median / 1e9).toFixed(0)} G/s on all threads, measured in this run`,
    100,
  );
}

/** Says where weights lie in small pages, and are read more slowly than the ceiling's buffer. */
function hugePageLines({ weights_in_huge_pages: share }: Measurements): string[] {
  if (share === null || share === undefined || share > 0.5) return [];
  return wrap(
    `${percent(share)} of the weights lie in huge pages; the rest is read more slowly. A fresh copy may lie in them: dd bs=2M if=<name>.gsi of=<copy>`,
    100,
  );
}

/** Seconds as a number of microseconds, to the hundredth below 100 and to the tenth above. */
export function microseconds(seconds: number): string {
  const value = seconds * 1e6;
  return value.toFixed(value < 100 ? 2 : 1);
}

/** Bytes as a number of gigabytes. */
export function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}

/** A share; `-` where there is none. */
export function percent(share: number | null, digits = 0): string {
  return share === null ? "-" : `${(100 * share).toFixed(digits)} %`;
}

function spreadText(spread: Spread | null, digits: number): string {
  if (spread === null) return "-";
  const { median, least, most } = spread;
  return `${median.toFixed(digits)} (${least.toFixed(digits)}-${most.toFixed(digits)})`;
}
