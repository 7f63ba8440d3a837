import type { InputGroup, Plan } from "../ir/plan.js";
import type { TextQuality } from "../report/evaluation.js";
import type { CacheOption } from "./cache-options.js";
import type { Candidate } from "./candidates.js";
import type { Option } from "./knapsack.js";

/** What is to be decided for the linears of one input. */
export interface Decision {
  readonly group: InputGroup;
  /** Dense first. */
  readonly candidates: readonly Candidate[];
}

/** A candidate with the KL that it is predicted to cause, in nats per token. */
export type Judged = Candidate & Option;

/** A plan that was measured. */
export interface MeasuredPoint {
  /** The sum of what its candidates are predicted to cause. */
  readonly predictedKl: number;
  /** Predicted seconds of a token in all linears, and in reading the cache where that was to be chosen. */
  readonly seconds: number;
  readonly meanBytes: number;
  /** On validation text. */
  readonly quality: TextQuality;
}

/** A plan between dense and the cheapest, as it was measured on validation text. */
export interface FrontierPoint extends MeasuredPoint {
  /** The candidate of each decision. */
  readonly chosen: readonly Judged[];
  readonly plan: Plan;
  /** How the cache is kept; null where that was not to be chosen. */
  readonly cache: CacheOption | null;
}
