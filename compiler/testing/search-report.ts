import type { Form } from "../ir/plan.js";
import type { Estimate } from "../report/evaluation.js";
import type { SearchReport } from "../report/search.js";

const tiered = (bits: 3 | 4): Form => ({
  gate: null,
  tier: { quantizer: { bits, group: 32, symmetric: true }, rank: 0, exact: null },
});

const around = (value: number, relative: number): Estimate => ({
  value,
  low: value * (1 - relative),
  high: value * (1 + relative),
});

/** Two measured plans beside the dense one; inputs `layer1_attention_norm` (three linears) and `logits`' (one). */
export function madeUpSearch(kl = 0.0125): SearchReport {
  const quality = (value: number) => ({
    kl: around(value, 0.1),
    perplexity_ratio: around(1 + value, 0.001),
    top1: around(1 / (1 + value), 0),
  });
  const dense = { bytes_per_token: 4e6, seconds_per_token: 8e-5 };
  return {
    max_kl: 0.02,
    pays: true,
    verdict: "The plan reads 25.0 % of the dense bytes.",
    dense,
    frontier: [
      {
        chosen: true,
        predicted_kl: kl / 2,
        bytes_per_token: 1e6,
        seconds_per_token: 2.4e-5,
        ...quality(kl),
        drafting: { gain: 2.21, length: 6 },
      },
      {
        chosen: false,
        predicted_kl: kl / 200,
        bytes_per_token: 2e6,
        seconds_per_token: 4e-5,
        ...quality(kl / 100),
        drafting: { gain: 1.7, length: 5 },
      },
      { chosen: false, predicted_kl: 0, ...dense, ...quality(0), drafting: { gain: 1, length: 0 } },
    ],
    round_to_nearest: [
      { bits: 3, bytes_per_token: 0.9e6, ...quality(kl * 8) },
      { bits: 4, bytes_per_token: 1.2e6, ...quality(kl * 1.5) },
    ],
    validation_tokens: 2040,
    inputs: [
      {
        input: "layer1_attention_norm",
        linears: ["layer1_query", "layer1_key", "layer1_value"],
        form: tiered(3),
        bytes_per_token: 5e4,
        seconds_per_token: 1e-6,
        errors: [2, 5, 1],
        sensitivity: kl / 40,
        predicted_kl: kl / 5,
        kl_share: 0.4,
        activations: null,
        rejected: [
          {
            form: tiered(4),
            bytes_per_token: 6e4,
            seconds_per_token: 1.2e-6,
            predicted_kl: kl / 20,
            why: "saves-too-little",
          },
        ],
      },
      {
        input: "final_norm",
        linears: ["logits"],
        form: { gate: null, tier: null },
        bytes_per_token: 8e5,
        seconds_per_token: 1.6e-5,
        errors: [0],
        sensitivity: 1,
        predicted_kl: 0,
        kl_share: 0,
        activations: null,
        rejected: [],
      },
    ],
  };
}
