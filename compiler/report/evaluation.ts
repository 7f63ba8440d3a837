import type { ValueId } from "../ir/graph.js";
import type { Mode } from "../ir/program.js";

/** A figure with its 95 % bootstrap interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The paper's figure for linears with a subspace gate, taken together, beside what their bytes say. */
export interface EquationSix {
  /** Dense bytes over their sum, each divided by its linear's speed-up of equation 6. */
  readonly speedup: number;
  /** Dense bytes over those that a token reads, with V and whatever else decides: the most that reading less can give. */
  readonly bytes_speedup: number;
  /** How many linears have a subspace gate. */
  readonly linears: number;
}

/** How a build predicts one text, next to the dense model. Intervals are 95 %, over windows of the text. */
export interface TextQuality {
  readonly tokens: number;
  readonly perplexity: Estimate;
  readonly dense_perplexity: Estimate;
  readonly perplexity_ratio: Estimate;
  /** Mean KL(dense || build), nats per token. */
  readonly kl: Estimate;
  /** Fraction of tokens whose most likely successor is the dense model's. */
  readonly top1: Estimate;
  /** Of the inputs that have a gate; all 0 where none has. */
  readonly tiers: TierFractions;
}

/** Fractions of tokens by the tier that they took: `middle` lies between two gates. */
export interface TierShares {
  readonly fast: number;
  readonly middle: number;
  readonly slow: number;
}

/** The shares of each gated input, and their means. */
export interface TierFractions extends TierShares {
  readonly by_input: Readonly<Record<ValueId, TierShares>>;
}

/** What `gsic eval` measures. `heldout` is the part of the held-out text that nothing was chosen by. */
export interface Evaluation {
  readonly mode: Mode;
  readonly heldout: TextQuality | null;
  readonly calibration: TextQuality | null;
  /** Bytes of weights per token in all linears: dense, all gates closed, and the mean over held-out text. */
  readonly bytes_per_token: {
    readonly dense: number;
    readonly plan_fast: number;
    readonly plan_mean: number;
  };
  /** Fractions of tokens by tier, means over the inputs that have a gate; null where a text was not measured. */
  readonly tiers: { readonly heldout: TierShares | null; readonly calibration: TierShares | null };
  /** The paper's speed-up, which is no time of this build; null where no linear has a subspace gate. */
  readonly equation_six: {
    readonly heldout: EquationSix;
    readonly calibration: EquationSix | null;
  } | null;
  /** The budget for held-out KL that the build was planned for, or else the configured one; nats per token. */
  readonly max_kl: number | null;
  /** Whether the held-out KL is within it; null without a budget. */
  readonly within_max_kl: boolean | null;
  /** Whether a planner chose the forms for that budget. */
  readonly planned: boolean;
  readonly pays: boolean;
  readonly verdict: string;
}
