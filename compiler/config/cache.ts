import type { CacheType } from "../ir/graph.js";
import type { Mode } from "../ir/program.js";
import { cachesOf } from "../layout/cache.js";
import type { Progress } from "../support/progress.js";
import type { Config, PlanOptions } from "./config.js";
import type { Target } from "./target.js";

/** How the KV cache keeps keys and values before a planner chooses. */
export function configuredCache({ kv }: PlanOptions): CacheType {
  return kv === "auto" ? "f32" : kv;
}

/**
 * The configuration with a cache that the mode and the target have; `mode` is what was asked for besides. A cache that
 * rounds makes of a configured exact mode a bounded one, whose linears are all dense.
 */
export function withCacheOf(
  config: Config,
  mode: Mode | undefined,
  { device }: Pick<Target, "device">,
  progress: Pick<Progress, "warn">,
): Config {
  const { plan, quality } = config;
  if (plan.kv === "f32") return config;
  if (plan.kv !== "auto" && !cachesOf[device].includes(plan.kv)) {
    progress.warn(
      `the cache of a GPU holds ${cachesOf[device].join(" or ")}: this build has no kv = "${plan.kv}"`,
    );
    return { ...config, plan: { ...plan, kv: "f32" } };
  }
  if ((mode ?? quality.mode) !== "exact") return config;
  if (mode === "exact") {
    progress.warn(`exact mode has a cache of f32: this build has no kv = "${plan.kv}"`);
    return config;
  }
  const rounds =
    plan.kv === "auto" ? "a cache that the planner chooses may round" : `a cache of ${plan.kv} rounds`;
  progress.warn(
    `${rounds}: the build is bounded, all its linears are dense, and gsic eval says what that changes`,
  );
  return { ...config, quality: { ...quality, mode: "bounded" }, plan: { ...plan, forms: ["dense"] } };
}
