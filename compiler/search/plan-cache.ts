import { calibrationTarget } from "../cc/machine.js";
import { withCache } from "../ir/cache.js";
import type { Plan } from "../ir/plan.js";
import type { FactorSource } from "../pack/weights.js";
import { bytesPerToken } from "../passes/cost.js";
import type { SearchReport } from "../report/search.js";
import { type CacheOption, cacheReport, measureCaches, positionsBefore } from "./cache-options.js";
import { Ledger } from "./ledger.js";
import { draftingGain, measuredPart } from "./objective.js";
import { defaultMaxKl, ledgerFile, type PlannerJob, validationText } from "./planner.js";

/** What the planner looks at where only the cache is to be chosen. */
interface CacheJob extends Omit<PlannerJob, "stats" | "algebra"> {
  /** Null where all linears are dense. */
  readonly stats: PlannerJob["stats"] | null;
  /** Of the plan's matrices that gsic makes. */
  readonly factors: FactorSource;
}

/**
 * Chooses the type of the KV cache, the same for all layers, for linears whose forms are configured: the one that is read
 * fastest while the KL of the whole, interval included, is within the budget; in lossless mode the one that drafts best.
 * f32 where none is. The same inputs give the same choice. Throws `heldout-missing` (category usage).
 */
export async function planCache(job: CacheJob): Promise<{ plan: Plan; report: SearchReport }> {
  const { model, config, targets, plan, factors, kept, progress } = job;
  const validation = validationText(job);
  const measuredOn = await calibrationTarget(targets);
  const ledger = await Ledger.open(await ledgerFile(job, measuredOn));
  const laboratory = { model, factors, kept, targets: [measuredOn], ledger, progress };
  const positions = positionsBefore(plan.graph, config.plan);
  const caches = await measureCaches(laboratory, plan, validation, positions, targets[0]!);
  const maxKl = job.mode === "lossless" ? null : (config.quality.maxKl ?? defaultMaxKl);
  const { cost } = targets[0]!;
  const bytes = bytesPerToken(plan);
  const point = (option: CacheOption) => ({
    option,
    predictedKl: option.loss,
    seconds: bytes.fast / cost.bandwidth + option.seconds,
    meanBytes: bytes.fast,
    quality: option.quality,
  });
  const f32 = caches.options[0]!;
  const dense = { ...point(f32), seconds: bytes.dense / cost.bandwidth + f32.seconds };
  const points = caches.options.map(point);
  const best =
    maxKl === null
      ? points.reduce((a, b) => (draftingGain(b, dense).gain > draftingGain(a, dense).gain ? b : a))
      : leastOf(points.filter(({ option, quality }) => option === f32 || quality.kl.high <= maxKl));
  const chosen = best.option.type;
  const cache = cacheReport(caches, chosen);
  const frontier = points.map((one) => ({
    chosen: one === best,
    ...measuredPart(one, dense),
    cache: one.option.type,
  }));
  const report: SearchReport = {
    max_kl: maxKl,
    pays: chosen !== "f32",
    verdict: `The forms of the linears are configured. ${cache.verdict}`,
    dense: { bytes_per_token: bytes.dense, seconds_per_token: dense.seconds },
    frontier: frontier.sort((a, b) => a.seconds_per_token - b.seconds_per_token),
    round_to_nearest: [],
    validation_tokens: best.quality.tokens,
    cache,
    inputs: [],
  };
  return { plan: { ...plan, graph: withCache(plan.graph, chosen) }, report };
}

function leastOf<T extends { readonly seconds: number }>(points: readonly T[]): T {
  return points.reduce((a, b) => (b.seconds < a.seconds ? b : a));
}
