import type { CacheType, ValueId } from "../ir/graph.js";
import type { BitWidth, Form } from "../ir/plan.js";
import type { Estimate } from "./evaluation.js";

/** How a linear's input lies beside the leading eigenvectors of its second moment, which come from calibration text. */
export interface ActivationSurvey {
  /** Numbers of eigenvectors, ascending. */
  readonly k: readonly number[];
  /** E||r||^2 / E||x||^2 by k: the energy outside the first k. */
  readonly outside: TextPair<readonly number[]>;
  /** Quantiles of rho = ||r|| / ||x|| over tokens, at 0, 5, ... 100 %, for each k that gates may have. */
  readonly residuals: readonly { readonly k: number; readonly rho: TextPair<readonly number[]> }[];
}

/** The same of two texts. `calibration` is null where statistics came from a file. */
export interface TextPair<T> {
  readonly calibration: T | null;
  /** Validation text, which the planner looks at. */
  readonly heldout: T;
}

/** How fast drafting with a plan is expected to be, of exact decoding, at the best fixed draft length. */
export interface DraftingGain {
  readonly gain: number;
  /** Tokens drafted before a pass that verifies them; 0: drafting does not pay. */
  readonly length: number;
}

/** Why a candidate was not taken, beside the one that was. */
export type Rejection =
  /** It is no faster than dense. */
  | { readonly why: "slower" }
  /** The form `by` is no slower and loses no more. */
  | { readonly why: "dominated"; readonly by: Form }
  /** It saves KL for time that saves more elsewhere. */
  | { readonly why: "saves-too-little" }
  /** It saves time for KL that buys more elsewhere. */
  | { readonly why: "loses-too-much" };

/** A form that the planner thought of and did not take, with its predictions. */
export type RejectedForm = Rejection & {
  readonly form: Form;
  readonly bytes_per_token: number;
  readonly seconds_per_token: number;
  readonly predicted_kl: number;
};

/** The types of a GGUF file, as the planner chose them. */
export interface TypesReport {
  /** What the file's tensors might take; null: the KL was given. */
  readonly max_bytes: number | null;
  /** What its tensors take. */
  readonly bytes: number;
  /** Of its matrices. */
  readonly bits_per_weight: number;
  readonly matrices: readonly {
    readonly name: string;
    readonly type: string;
    readonly weights: number;
    readonly bytes: number;
    readonly predicted_kl: number;
  }[];
}

/** How the planner chose what the KV cache keeps. */
export interface CacheReport {
  /** Of all layers. */
  readonly chosen: CacheType;
  readonly verdict: string;
  /** Positions before a token, for which reading the cache counts in predicted times. */
  readonly tokens: number;
  /** Tokens of the windows that validation text was read in; the last one may be shorter. */
  readonly window: number;
  readonly options: readonly {
    readonly type: CacheType;
    /** Of the cache. */
    readonly bytes_per_token: number;
    readonly seconds_per_token: number;
    /** That the cache adds to a plan. */
    readonly predicted_kl: number;
    /** Of the plan that it was measured with. */
    readonly kl: Estimate;
  }[];
}

/**
 * How the planner came to a plan: `search` in report.json. Times are predicted, of the linears alone, and where
 * the planner chose the KV cache of reading that, too; KL is in nats per token.
 */
export interface SearchReport {
  /** The most KL that was allowed, with its interval, on validation text; null: the plan is to draft, and none was. */
  readonly max_kl: number | null;
  /** False where no plan was worth it: the build is the dense one. */
  readonly pays: boolean;
  readonly verdict: string;
  /** All linears of the dense model. */
  readonly dense: { readonly bytes_per_token: number; readonly seconds_per_token: number };
  /** Plans that were measured on validation text, which the figures of `gsic eval` do not come from; cheapest first. */
  readonly frontier: readonly {
    readonly chosen: boolean;
    readonly predicted_kl: number;
    readonly kl: Estimate;
    readonly perplexity_ratio: Estimate;
    readonly top1: Estimate;
    readonly bytes_per_token: number;
    readonly seconds_per_token: number;
    /** How the KV cache is kept, where the planner chose that. */
    readonly cache?: CacheType;
    /** What a plan of llama.cpp's types takes as a file. */
    readonly file_bytes?: number;
    /** Of lossless mode, as a ratio to exact decoding, and at which number of drafted tokens. */
    readonly drafting: DraftingGain;
  }[];
  /** Every linear at so many bits, plainly rounded, on the same text; the fewest bits first. */
  readonly round_to_nearest: readonly {
    readonly bits: BitWidth;
    readonly bytes_per_token: number;
    readonly kl: Estimate;
    readonly perplexity_ratio: Estimate;
    readonly top1: Estimate;
  }[];
  readonly validation_tokens: number;
  /** Where the planner chose what the KV cache keeps. */
  readonly cache?: CacheReport;
  /** Of a plan of llama.cpp's types. */
  readonly types?: TypesReport;
  /** By linear input. */
  readonly inputs: readonly {
    readonly input: ValueId;
    readonly linears: readonly ValueId[];
    readonly form: Form;
    readonly bytes_per_token: number;
    readonly seconds_per_token: number;
    /** E||y' - y||^2 by linear, on calibration text. */
    readonly errors: readonly number[];
    /** KL of the output per unit of that error, the mean over the linears. */
    readonly sensitivity: number;
    readonly predicted_kl: number;
    /** Of the predicted KL of the whole plan. */
    readonly kl_share: number;
    /** How the input lies in subspaces; null where no gate was thought of, so that nobody looked. */
    readonly activations: ActivationSurvey | null;
    readonly rejected: readonly RejectedForm[];
  }[];
}
