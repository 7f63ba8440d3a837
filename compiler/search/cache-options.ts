import type { PlanOptions } from "../config/config.js";
import type { Target } from "../config/target.js";
import { withCache } from "../ir/cache.js";
import type { CacheType, Graph } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { bytesBehind, cachesOf } from "../layout/cache.js";
import type { TextQuality } from "../report/evaluation.js";
import type { CacheReport } from "../report/search.js";
import { size } from "../support/text.js";
import { klText } from "./kl-text.js";
import { planKey } from "./plan-key.js";
import { type Laboratory, type MeasuredText, measureVariants } from "./variants.js";

/** The KV cache of all layers kept as one type: what reading it takes behind some positions, and what it loses. */
export interface CacheOption {
  readonly type: CacheType;
  /** Of the cache, that a token reads. */
  readonly bytes: number;
  /** Predicted, of reading them. */
  readonly seconds: number;
  /** KL that it causes by itself, in nats per token. */
  readonly loss: number;
  /** Of the plan with it, on validation text. */
  readonly quality: TextQuality;
}

/** Positions before a token, as they count in its time: as configured, where the context has so many. */
export function positionsBefore({ context }: Graph, { kvTokens }: PlanOptions): number {
  return Math.min(kvTokens, context - 1);
}

/** A type that rounds never counts as one that does not, however little it was measured to lose. */
const leastLoss = 1e-9;

/**
 * What every type of the cache that a target has does to a plan whose cache is f32, which is the first: each plan is
 * measured on validation text. `positions` are those before a token whose keys and values it reads.
 */
export async function measureCaches(
  laboratory: Laboratory,
  plan: Plan,
  validation: MeasuredText,
  positions: number,
  { cost, device }: Target,
): Promise<CachesMeasured> {
  const variants = cachesOf[device].map((type) => {
    const cached = { ...plan, graph: withCache(plan.graph, type) };
    return { name: `cache_${type}`, key: planKey(cached), plan: cached, type };
  });
  const found = await measureVariants(laboratory, variants, validation, "Measuring types of the cache");
  const first = found.get(variants[0]!.name)!.kl.value;
  const options = variants.map(({ name, type, plan: { graph } }) => {
    const quality = found.get(name)!;
    const bytes = bytesBehind(graph, positions);
    const loss = type === "f32" ? 0 : Math.max(quality.kl.value - first, leastLoss);
    return { type, bytes, seconds: bytes / cost.bandwidth, loss, quality };
  });
  return { options, validation, positions };
}

/** What was measured of the cache's types, and how. */
export interface CachesMeasured {
  readonly options: readonly CacheOption[];
  readonly validation: MeasuredText;
  readonly positions: number;
}

/** What report.json says of the choice among types of the cache. */
export function cacheReport(
  { options, validation, positions }: CachesMeasured,
  chosen: CacheType,
): CacheReport {
  const window = Math.min(validation.window, validation.ids.length);
  const [f32, found] = [options[0]!, options.find(({ type }) => type === chosen)!];
  const behind = `behind ${positions} tokens`;
  const loses = `${klText(found.loss)} of KL in windows of ${window} tokens`;
  const verdict =
    chosen === "f32"
      ? `The cache stays f32: no other type pays within the budget, at ${size(f32.bytes)} ${behind}.`
      : `The cache is ${chosen}: ${behind} a token reads ${size(found.bytes)} of it in place of ${size(f32.bytes)}, for ${loses}.`;
  return {
    chosen,
    verdict,
    tokens: positions,
    window,
    options: options.map(({ type, bytes, seconds, loss, quality: { kl } }) => ({
      type,
      bytes_per_token: bytes,
      seconds_per_token: seconds,
      predicted_kl: loss,
      kl,
    })),
  };
}
