import type { SubspaceSurvey } from "../calibrate/algebra.js";
import type { InputGroup } from "../ir/plan.js";
import type { ActivationSurvey, TextPair } from "../report/search.js";
import type { Samples } from "./samples.js";
import { type SurveyContext, subspacesOf, withinRank } from "./surveys.js";

/** Quantiles from the least to the greatest. */
const quantiles = Array.from({ length: 21 }, (_, index) => index / 20);

/**
 * The spectrum and the residuals of what the linears of a group read; null where the statistics give no subspace.
 */
export async function surveyActivations(
  context: SurveyContext,
  { input, linears }: InputGroup,
  texts: { readonly calibration: (() => Promise<Samples>) | null; readonly heldout: () => Promise<Samples> },
): Promise<ActivationSurvey | null> {
  const gates = subspacesOf(context, { input, linears });
  const most = gates.at(-1);
  if (most === undefined) return null;
  const all = [...new Set([...powersBelow(most), ...gates])].sort((a, b) => a - b);
  return withinRank(all, async (k) => {
    const survey = async (samples: () => Promise<Samples>) =>
      context.factors.surveyResiduals(input, (await samples()).read(input), k);
    const heldout = await survey(texts.heldout);
    const calibration = texts.calibration === null ? null : await survey(texts.calibration);
    const pair = <T>(of: (survey: SubspaceSurvey) => T): TextPair<T> => ({
      calibration: calibration && of(calibration),
      heldout: of(heldout),
    });
    return {
      k,
      outside: pair((one) => k.map((_, index) => energyOutside(one, index))),
      residuals: k.flatMap((one, index) =>
        gates.includes(one)
          ? [{ k: one, rho: pair(({ subspaces }) => quantilesOf(subspaces[index]!.rho)) }]
          : [],
      ),
    };
  });
}

function powersBelow(most: number): number[] {
  return Array.from({ length: 1 + Math.floor(Math.log2(most)) }, (_, exponent) => 2 ** exponent);
}

function energyOutside({ squaredNorms, subspaces }: SubspaceSurvey, index: number): number {
  const { rho } = subspaces[index]!;
  let [outside, all] = [0, 0];
  squaredNorms.forEach((square, token) => {
    outside += square * rho[token]! ** 2;
    all += square;
  });
  return all === 0 ? 0 : rounded(outside / all);
}

function quantilesOf(values: Float32Array): number[] {
  const sorted = values.toSorted();
  return quantiles.map((share) => rounded(sorted[Math.round(share * (sorted.length - 1))]!));
}

/** Four digits, which is more than a plot shows. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
