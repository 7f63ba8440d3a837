import { expect, test } from "vitest";
import type { Measurements, ModeMeasurements, Spread } from "../report/measurements.js";
import { benchText } from "./text.js";

const spread = (median: number): Spread => ({
  median,
  mean: median,
  least: median * 0.8,
  most: median * 1.2,
});

/** Of a model that decodes at `rate` tokens a second, in exact mode at `share` of the ceiling. */
function measured(rate: number, share: number, huge: number): Measurements {
  const mode = (ratio: number): ModeMeasurements => ({
    decode_tokens_per_second: spread(rate * ratio),
    decode_ratio_to_exact: spread(ratio),
    tokens: 320,
    tokens_as_exact: 320,
    bytes_per_token: 1e8,
    launches: 30,
    drafts: null,
    prefill_tokens_per_second: spread(1000),
    seconds_to_first_token: spread(0.5),
    share_of_ceiling: share,
    share_of_launches: 0.01,
  });
  return {
    model: "some",
    target: "cpu-avx512",
    device: "CPU",
    threads: 2,
    repeat: 5,
    prompt: 16,
    tokens: 64,
    prefill: 512,
    multiply_adds_per_prefill_token: 1e8,
    weights_in_huge_pages: huge,
    read_ceiling_bytes: 5e8,
    read_ceiling_short: false,
    read_ceiling_bytes_per_second: spread(3e10),
    seconds_per_empty_launch: spread(1e-7),
    seconds_per_sequence: null,
    modes: { bounded: mode(2), exact: mode(1) },
  };
}

test("rows keep their columns, however fast a model is", () => {
  for (const rate of [2.5, 120, 17_350]) {
    const lines = benchText(measured(rate, 0.9, 1), "held-out text").split("\n");
    const heading = lines.find((line) => line.startsWith("mode "))!;
    const rows = lines.filter((line) => /^(bounded|exact) /.test(line));
    expect(rows).toHaveLength(2);
    for (const row of rows) expect(row.indexOf("0.500 s"), row).toBe(heading.indexOf("first of"));
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(100);
  }
});

test("small pages are mentioned where they cost something", () => {
  const advice = /10 % of the weights lie in huge pages/;
  expect(benchText(measured(100, 0.7, 0.1), "held-out text")).toMatch(advice);
  expect(benchText(measured(100, 0.7, 0.9), "held-out text")).not.toMatch(/huge pages/);
  expect(benchText(measured(17_350, 2.2, 0.1), "held-out text")).not.toMatch(/huge pages/);
});
