import type { SubspaceSurvey } from "../calibrate/algebra.js";
import type { Factors } from "../calibrate/factors.js";
import type { StatsFile } from "../calibrate/stats-file.js";
import type { PlanOptions } from "../config/config.js";
import type { Graph } from "../ir/graph.js";
import type { ErrorGate, InputGroup, SubspaceGate } from "../ir/plan.js";
import type { TierRecipe } from "../ir/steps.js";
import { linearById } from "../ir/walk.js";
import { GsicError } from "../support/errors.js";
import { effect, errorPredictor, fitThresholds, halves, rhoPredictor } from "./gates.js";
import type { Ledger } from "./ledger.js";
import type { Samples } from "./samples.js";

/** A gate with its threshold fitted, and what it does on the half of the text that it was not fitted on. */
interface FittedGate<Gate> {
  readonly gate: Gate;
  /** Fraction of tokens with the gate closed, in the half that it was fitted on and in the other. */
  readonly closed: { readonly fit: number; readonly validation: number };
  /** E||y' - y||^2 by linear, in the other half; an open gate makes no error. */
  readonly errors: readonly number[];
}

/** Rows of S. */
export const projections = 8;
/** Fractions of tokens that are sent to an exact tier. */
const opened = [0.05, 0.15];

/** What gates are judged by. */
export interface SurveyContext {
  readonly graph: Graph;
  readonly options: PlanOptions;
  readonly factors: Factors;
  readonly stats: StatsFile;
  readonly ledger: Ledger;
  /** Opened when they are first needed. */
  readonly samples: () => Promise<Samples>;
}

/** Those k of the configuration that the statistics of a group suffice for, ascending; half of a sketch's width is the widest basis that it gives well. */
export function subspacesOf(
  { graph, options, stats }: SurveyContext,
  { input, linears }: InputGroup,
): readonly number[] {
  const { d } = linearById(graph, linears[0]!).weight;
  const { count, sketch } = stats.summary(input, d);
  const most = Math.min(d - 1, count, sketch === null ? d : sketch.width / 2);
  return [...new Set(options.k)].filter((k) => k <= most).sort((a, b) => a - b);
}

/**
 * The first answer for as many of ascending `ks` as the rank of the statistics allows, which is known when their
 * eigenvectors are; null if it allows none.
 */
export async function withinRank<T>(
  ks: readonly number[],
  ask: (usable: readonly number[]) => Promise<T>,
): Promise<T | null> {
  for (let usable = ks; usable.length > 0; usable = usable.slice(0, -1)) {
    try {
      return await ask(usable);
    } catch (cause) {
      if (!(cause instanceof GsicError && cause.code === "stats-rank-deficient")) throw cause;
    }
  }
  return null;
}

/** The subspace gates that the configuration allows, of those k of `closing` that the statistics suffice for. */
export async function surveySubspaces(
  context: SurveyContext,
  group: InputGroup,
  closing: readonly number[],
): Promise<readonly FittedGate<SubspaceGate>[]> {
  const { options, factors, ledger, samples } = context;
  const { input, linears } = group;
  const ks = subspacesOf(context, group).filter((k) => closing.includes(k));
  if (ks.length === 0) return [];
  return ledger.get(`subspaces: ${JSON.stringify([input, ks, options.epsilon])}`, async () => {
    const x = (await samples()).read(input);
    const found = await withinRank(ks, async (usable) => {
      const surveys: SubspaceSurvey[] = [];
      for (const linear of linears) surveys.push(await factors.surveySubspaces(linear, x, usable));
      return usable.flatMap((k) => fitSubspace(surveys, k, options.epsilon));
    });
    return found ?? [];
  });
}

function fitSubspace(
  surveys: readonly SubspaceSurvey[],
  k: number,
  epsilons: readonly number[],
): FittedGate<SubspaceGate>[] {
  const predictor = rhoPredictor(k, epsilons);
  const validations = surveys.map((survey) => halves(predictor.samples(survey))[1]);
  return fitThresholds(predictor, summed(surveys)).map(({ threshold, fit, validation }) => ({
    gate: { k, epsilon: threshold },
    closed: { fit: fit.closed, validation: validation.closed },
    errors: validations.map((samples) => effect(samples, threshold).error),
  }));
}

/** The survey of all linears of an input together. */
function summed([first, ...others]: readonly SubspaceSurvey[]): SubspaceSurvey {
  const subspaces = first!.subspaces.map((subspace, index) => ({
    ...subspace,
    errors: subspace.errors.map((error, token) =>
      others.reduce((sum, other) => sum + other.subspaces[index]!.errors[token]!, error),
    ),
  }));
  return { ...first!, subspaces };
}

/** Gates of an exact tier behind what a recipe makes; `errors` are those of the recipe by linear, without a gate. */
export async function surveyExactTiers(
  { factors, ledger, samples }: SurveyContext,
  recipe: TierRecipe,
  errors: readonly number[],
): Promise<readonly FittedGate<ErrorGate>[]> {
  const gated = { ...recipe, projections };
  return ledger.get(`exact tiers: ${JSON.stringify(gated)}`, async () => {
    const survey = await factors.surveyTier(gated, (await samples()).read(recipe.input));
    const predictor = errorPredictor(opened);
    const [, validation] = halves(predictor.samples(survey));
    const without = effect(validation, Number.POSITIVE_INFINITY).error;
    return fitThresholds(predictor, survey).map(({ threshold, fit, validation: found }) => ({
      gate: { projections, threshold },
      closed: { fit: fit.closed, validation: found.closed },
      errors: errors.map((error) => (without === 0 ? 0 : error * (found.error / without))),
    }));
  });
}
