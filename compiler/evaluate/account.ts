import type { Graph, ValueId } from "../ir/graph.js";
import type { ByteAccount } from "../ir/plan.js";
import { linearById } from "../ir/walk.js";
import type { EquationSix, TierShares } from "../report/evaluation.js";
import type { Report } from "../report/report.js";

/** Mean bytes of a token whose tiers have these shares. */
export function meanBytes(bytes: ByteAccount, { fast, middle, slow }: TierShares): number {
  return fast * bytes.fast + middle * (bytes.middle ?? 0) + slow * bytes.slow;
}

/** Every token in the only tier. */
export const oneTier: TierShares = { fast: 1, middle: 0, slow: 0 };

/** Mean bytes of weights that a token reads in linears, each with its input's own shares of tiers. */
export function meanBytesPerToken(
  linears: Report["linears"],
  shares: Readonly<Record<ValueId, TierShares>>,
): number {
  return linears.reduce((sum, { bytes, input }) => sum + meanBytes(bytes, shares[input] ?? oneTier), 0);
}

/** Equation 6 of arXiv 2605.03109: 1 / [f / (d / k) + (1 - f)], f the fraction of closed gates. It leaves out reads of V. */
export function equationSix(f: number, d: number, k: number): number {
  return 1 / (f / (d / k) + (1 - f));
}

/** Null where no linear has a subspace gate. */
export function equationSixOf(
  linears: Report["linears"],
  graph: Graph,
  shares: Readonly<Record<ValueId, TierShares>>,
): EquationSix | null {
  const gated = linears.flatMap((linear) => {
    const [subspace, found] = [linear.form.gate, shares[linear.input]];
    return subspace === null || found === undefined ? [] : [{ linear, k: subspace.k, f: found.fast }];
  });
  if (gated.length === 0) return null;
  let [dense, claimed] = [0, 0];
  for (const { linear, k, f } of gated) {
    dense += linear.bytes.dense;
    claimed += linear.bytes.dense / equationSix(f, linearById(graph, linear.linear).weight.d, k);
  }
  const all = gated.map(({ linear }) => linear);
  return {
    speedup: dense / claimed,
    bytes_speedup: dense / meanBytesPerToken(all, shares),
    linears: gated.length,
  };
}
