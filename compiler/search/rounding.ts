import type { Algebra } from "../calibrate/algebra.js";
import { Factors } from "../calibrate/factors.js";
import type { StatsFile } from "../calibrate/stats-file.js";
import { roundToNearest } from "../calibrate/tiers.js";
import type { Target } from "../config/target.js";
import { quantizerOf } from "../ir/forms.js";
import type { BitWidth, Plan } from "../ir/plan.js";
import { accountBytes } from "../passes/account-bytes.js";
import { bytesPerToken } from "../passes/cost.js";
import type { TextQuality } from "../report/evaluation.js";
import { linearPlan } from "./candidates.js";
import { planKey } from "./plan-key.js";
import { type Laboratory, type MeasuredText, measureVariants } from "./variants.js";

/** Every linear rounded to the nearest of 2^bits levels, on validation text: what any plan has to beat. */
export interface RoundedPlan {
  readonly bits: BitWidth;
  readonly meanBytes: number;
  readonly quality: TextQuality;
}

/** What a plan of few bits costs that nothing was computed for, at the bytes of another. */
export interface RoundedAt {
  /** The one of the nearest larger byte count; null where all read less. */
  readonly larger: RoundedPlan | null;
  /** The one of the nearest smaller byte count; null where none reads less. */
  readonly smaller: RoundedPlan | null;
  /** KL at the same bytes: between the two, its logarithm linear in bytes; null unless two surround them. */
  readonly kl: number | null;
}

/**
 * Measures plans in which every linear has the same bits and is rounded to nearest: the scale of a group is its range's,
 * no error is passed on and nothing corrected. Of the given widths the two whose bytes surround `bytes` are measured, or
 * the two nearest where all lie on one side. The fewest bits first.
 */
export async function measureRounding(
  laboratory: Laboratory,
  plan: Plan,
  { stats, algebra }: { readonly stats: StatsFile; readonly algebra: Algebra },
  widths: readonly BitWidth[],
  bytes: number,
  validation: MeasuredText,
  { device }: Target,
): Promise<RoundedPlan[]> {
  const factors = new Factors(plan, laboratory.model.weights, stats, algebra, roundToNearest);
  const all = [...new Set(widths)]
    .sort((a, b) => a - b)
    .map((bits) => {
      const form = { gate: null, tier: { quantizer: quantizerOf(bits), rank: 0, exact: null } } as const;
      const linears = new Map([...plan.linears.keys()].map((id) => [id, linearPlan(id, form)]));
      const rounded = accountBytes({ ...plan, linears }, { device });
      return { name: `round_${bits}`, key: `round to nearest: ${planKey(rounded)}`, plan: rounded, bits };
    });
  const read = all.map(({ plan: rounded }) => bytesPerToken(rounded).fast);
  const larger = read.findIndex((one) => one >= bytes);
  const beside = larger < 0 ? all.length - 2 : Math.min(larger - 1, all.length - 2);
  const variants = all.slice(Math.max(0, beside), Math.max(0, beside) + 2);
  const title = "Measuring plain round to nearest on validation text";
  const found = await measureVariants({ ...laboratory, factors }, variants, validation, title);
  return variants.map(({ bits, name, plan: rounded }) => ({
    bits,
    meanBytes: bytesPerToken(rounded).fast,
    quality: found.get(name)!,
  }));
}

/** What rounding to nearest would cost where a token reads so many bytes. */
export function roundedAt(rounded: readonly RoundedPlan[], bytes: number): RoundedAt {
  const sorted = [...rounded].sort((a, b) => a.meanBytes - b.meanBytes);
  const larger = sorted.find(({ meanBytes }) => meanBytes >= bytes) ?? null;
  const smaller = sorted.findLast(({ meanBytes }) => meanBytes < bytes) ?? null;
  return { larger, smaller, kl: interpolated(smaller, larger, bytes) };
}

function interpolated(smaller: RoundedPlan | null, larger: RoundedPlan | null, bytes: number): number | null {
  if (smaller === null || larger === null) return null;
  const [from, to] = [smaller.quality.kl.value, larger.quality.kl.value];
  if (from <= 0 || to <= 0) return null;
  const share = (bytes - smaller.meanBytes) / (larger.meanBytes - smaller.meanBytes);
  return from * (to / from) ** share;
}
