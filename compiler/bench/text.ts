import { wrap } from "../inspect/layout.js";

/** Median and spread of repeated measurements. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** What bounds a token's time, measured in the same run; see runtime/tools/device_ceiling.h. */
export interface Ceiling {
  /** The buffer that was read; null where nothing could be measured. */
  readonly read_ceiling_bytes: number | null;
  /** Whether a GPU had too little free memory for a buffer above 512 MiB, so that caches may have helped. */
  readonly read_ceiling_short: boolean;
  readonly read_ceiling_bytes_per_second: Spread | null;
  /** A dependent launch of a captured sequence (GPUs), or a barrier of all workers (CPUs). */
  readonly seconds_per_empty_launch: Spread | null;
  /** Issuing and awaiting a captured sequence of one launch; null on CPUs. */
  readonly seconds_per_sequence: Spread | null;
}

/** What `gsic-tool bench` prints; see runtime/tools/bench.cpp. */
export interface Measurements extends Ceiling {
  readonly model: string;
  readonly target: string;
  /** What the device calls itself. */
  readonly device: string;
  /** Workers of a CPU, compute units of a GPU. */
  readonly threads: number;
  readonly modes: Readonly<
    Record<
      string,
      {
        readonly decode_tokens_per_second: Spread;
        readonly prefill_tokens_per_second: Spread;
        readonly bytes_per_token: number;
        readonly share_of_ceiling: number | null;
        readonly launches: number;
      }
    >
  >;
}

/** The measurements for a terminal: ratios to the dense path of the same run first. */
export function benchText(measured: Measurements): string {
  const dense = measured.modes.exact!;
  // CPUs name themselves by nothing that says more than the target.
  const gpu = measured.device !== "CPU";
  const workers = gpu
    ? `(${measured.device}), ${measured.threads} compute units`
    : `${measured.threads} threads`;
  const lines = [`${measured.model} on ${measured.target}${gpu ? "" : ","} ${workers}`];
  lines.push(
    "mode      decode, x dense   tokens/s (spread)          prefill, tokens/s   of the read ceiling",
  );
  for (const [mode, one] of Object.entries(measured.modes)) {
    const ratio = one.decode_tokens_per_second.median / dense.decode_tokens_per_second.median;
    const cells = [
      mode.padEnd(8),
      `${ratio.toFixed(2)} x`.padEnd(16),
      rates(one.decode_tokens_per_second).padEnd(25),
      one.prefill_tokens_per_second.median.toFixed(0).padEnd(18),
      mode === "exact" ? percent(one.share_of_ceiling) : "(depends on the gates)",
    ];
    lines.push(cells.join("  "));
  }
  const launch = measured.seconds_per_empty_launch;
  const each = launch === null ? "" : ` of at least ${microseconds(launch.median)} us`;
  lines.push(
    ...ceilingLines(measured).flatMap((line) => wrap(line, 100)),
    `weights read per token, dense: ${(dense.bytes_per_token / 1e6).toFixed(1)} MB in ${dense.launches} launches${each}`,
    ...(dense.share_of_ceiling !== null && dense.share_of_ceiling > 1
      ? ["Above 100 %: these weights fit into the caches."]
      : []),
    "Gates depend on the text: `gsic eval` tells how many close. This run's tokens are arbitrary.",
  );
  return lines.join("\n");
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

export function microseconds(seconds: number): string {
  const value = seconds * 1e6;
  return value.toFixed(value < 100 ? 2 : 1);
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}

/** A share of the read ceiling; `-` where there is none. */
export function percent(share: number | null): string {
  return share === null ? "-" : `${(100 * share).toFixed(0)} %`;
}

function rates({ median, least, most }: Spread): string {
  return `${median.toFixed(1)} (${least.toFixed(1)} to ${most.toFixed(1)})`;
}
