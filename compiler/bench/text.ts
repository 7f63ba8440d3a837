/** Median and spread of repeated measurements. */
interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** What `gsic-tool bench` prints; see runtime/tools/bench.cpp. */
export interface Measurements {
  readonly model: string;
  readonly target: string;
  readonly threads: number;
  readonly read_ceiling_bytes_per_second: Spread;
  readonly seconds_per_empty_launch: Spread;
  readonly modes: Readonly<
    Record<
      string,
      {
        readonly decode_tokens_per_second: Spread;
        readonly prefill_tokens_per_second: Spread;
        readonly bytes_per_token: number;
        readonly share_of_ceiling: number;
        readonly launches: number;
      }
    >
  >;
}

/** The measurements for a terminal: ratios to the dense path of the same run first. */
export function benchText(measured: Measurements): string {
  const dense = measured.modes.exact!;
  const lines = [`${measured.model} on ${measured.target}, ${measured.threads} threads`];
  lines.push(
    "mode      decode, x dense   tokens/s (spread)          prefill, tokens/s   of the read ceiling",
  );
  for (const [mode, one] of Object.entries(measured.modes)) {
    const ratio = one.decode_tokens_per_second.median / dense.decode_tokens_per_second.median;
    const cells = [
      mode.padEnd(8),
      `${ratio.toFixed(2)} x`.padEnd(16),
      spread(one.decode_tokens_per_second).padEnd(25),
      one.prefill_tokens_per_second.median.toFixed(0).padEnd(18),
      mode === "exact" ? `${(100 * one.share_of_ceiling).toFixed(0)} %` : "(depends on the gates)",
    ];
    lines.push(cells.join("  "));
  }
  const ceiling = measured.read_ceiling_bytes_per_second;
  lines.push(
    `read ceiling: ${(ceiling.median / 1e9).toFixed(1)} GB/s (${(ceiling.least / 1e9).toFixed(1)} to ${(ceiling.most / 1e9).toFixed(1)}), measured in this run with these threads`,
    `weights read per token, dense: ${(dense.bytes_per_token / 1e6).toFixed(1)} MB in ${dense.launches} launches of at least ${(measured.seconds_per_empty_launch.median * 1e6).toFixed(2)} us`,
    ...(dense.share_of_ceiling > 1 ? ["Above 100 %: these weights fit into the caches."] : []),
    "Gates depend on the text: `gsic eval` tells how many close. This run's tokens are arbitrary.",
  );
  return lines.join("\n");
}

function spread({ median, least, most }: Spread): string {
  return `${median.toFixed(1)} (${least.toFixed(1)} to ${most.toFixed(1)})`;
}
