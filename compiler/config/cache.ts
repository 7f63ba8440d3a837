import type { Mode } from "../ir/program.js";
import type { Progress } from "../support/progress.js";
import type { Config } from "./config.js";
import type { Target } from "./target.js";

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
  if (device !== "cpu") {
    progress.warn(`the cache of a GPU holds f32: this build has no kv = "${plan.kv}"`);
    return { ...config, plan: { ...plan, kv: "f32" } };
  }
  if ((mode ?? quality.mode) !== "exact") return config;
  if (mode === "exact") {
    progress.warn(`exact mode has a cache of f32: this build has no kv = "${plan.kv}"`);
    return config;
  }
  progress.warn(
    `a cache of ${plan.kv} rounds: the build is bounded, all its linears are dense, and gsic eval says what that changes`,
  );
  return { ...config, quality: { ...quality, mode: "bounded" }, plan: { ...plan, forms: ["dense"] } };
}
