import type { Estimate } from "../report/evaluation.js";

const resamples = 1000;

/**
 * Percentile bootstrap (Efron 1979) of a statistic of whole windows: windows are drawn with replacement, since tokens
 * within one depend on each other. `statistic` receives the drawn windows' numbers. Deterministic.
 */
export function bootstrap(windows: number, statistic: (drawn: readonly number[]) => number): Estimate {
  const all = Array.from({ length: windows }, (_, i) => i);
  const value = statistic(all);
  const random = generator(12345);
  const drawn = Array.from({ length: resamples }, () =>
    statistic(all.map(() => Math.floor(random() * windows))),
  ).sort((a, b) => a - b);
  return {
    value,
    low: drawn[Math.floor(resamples * 0.025)]!,
    high: drawn[Math.ceil(resamples * 0.975) - 1]!,
  };
}

/** Uniform numbers in [0, 1): the 32-bit generator mulberry32. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
