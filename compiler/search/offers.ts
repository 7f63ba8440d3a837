/** The forms that every linear may have, with what they cost and lose. */
import type { PlanOptions } from "../config/config.js";
import type { Target } from "../config/target.js";
import { oneTier } from "../evaluate/account.js";
import type { Form, InputGroup, Plan } from "../ir/plan.js";
import type { TierShares } from "../report/evaluation.js";
import type { ActivationSurvey } from "../report/search.js";
import { type Candidate, candidateOf, recipeOfForm } from "./candidates.js";
import { aboveHull } from "./knapsack.js";
import { type GroupEffects, type TierEffect, topFractions } from "./sensitivity.js";
import { projections, type SurveyContext, surveyExactTiers, surveySubspaces } from "./surveys.js";

/** Subspace gates that close for fewer tokens are not offered. */
const leastClosed = 0.05;
/** Bits up to which a tier leaves errors that an exact tier can be worth. */
const maxBitsBesideExact = 4;
/** Of the tokens that an exact tier is reckoned to take when it is asked whether it can pay: fewer than it will. */
const leastOpen = 0.04;

/** Whether subspace gates are offered to a group. A head is never gated: its image would be as large as itself. */
export function mayBeGated({ graph }: Plan, { linears }: InputGroup, { forms }: PlanOptions): boolean {
  return !linears.includes(graph.output) && (forms.includes("gated") || forms.includes("gated+tiered"));
}

/** What the forms of one group are made from. */
interface Offer {
  readonly plan: Plan;
  readonly group: InputGroup;
  /** Of the tiers at few bits that are offered. */
  readonly effects: GroupEffects;
  /** How the group's input lies in subspaces; null where no gate is offered. */
  readonly activations: ActivationSurvey | null;
  readonly context: SurveyContext;
  readonly options: PlanOptions;
  readonly target: Target;
}

/** The forms that a group may have, dense first. */
export async function candidatesOf(offer: Offer): Promise<Candidate[]> {
  const { plan, group, effects, options, target } = offer;
  const candidate = (form: Form, lost: Pick<Candidate, "errors" | "divergences">, shares = oneTier) =>
    candidateOf(plan.graph, group, form, lost, shares, target);
  const none = group.linears.map(() => 0);
  const dense = candidate({ gate: null, tier: null }, { errors: none, divergences: none });
  const plain = effects.tiers.map((effect) => ({
    effect,
    made: candidate({ gate: null, tier: effect.tier }, effect),
  }));
  const candidates = [dense];
  if (options.forms.includes("tiered"))
    for (const { effect, made } of plain)
      candidates.push(made, ...(await exactTiers(offer, effect, [dense, ...plain.map((one) => one.made)])));
  return [
    ...candidates,
    ...(await gatedForms(
      offer,
      plain.map(({ effect }) => effect),
    )),
  ];
}

/** A tier with an exact one behind a gate, for as many tokens as can pay at all. */
async function exactTiers(
  { plan, group, context, target }: Offer,
  { tier, errors, divergences, tops }: TierEffect,
  plain: readonly Candidate[],
): Promise<Candidate[]> {
  if (tier.quantizer.bits > maxBitsBesideExact) return [];
  const options = plain.map((one) => ({ cost: one.seconds, loss: sum(one.divergences) }));
  const pays = topFractions.some((_, index) => {
    // No gate keeps out more than the tokens of the largest errors have.
    const left = divergences.map((one) => one * (1 - tops[index]!));
    const form: Form = { gate: null, tier: { ...tier, exact: { projections, threshold: 1 } } };
    const open = index === 0 ? leastOpen : (topFractions[index]! * leastOpen) / topFractions[0];
    const best = candidateOf(
      plan.graph,
      group,
      form,
      { errors, divergences: left },
      twoTiers(1 - open),
      target,
    );
    return !aboveHull(options, { cost: best.seconds, loss: sum(left) });
  });
  if (!pays) return [];
  const recipe = recipeOfForm(group, { gate: null, tier });
  const found = await surveyExactTiers(context, recipe, errors);
  return found.map(({ gate, closed, errors: left }) => {
    const lost = left.map((one, index) =>
      errors[index] === 0 ? 0 : (one / errors[index]!) * divergences[index]!,
    );
    const form: Form = { gate: null, tier: { ...tier, exact: gate } };
    return candidateOf(
      plan.graph,
      group,
      form,
      { errors: left, divergences: lost },
      twoTiers(closed.validation),
      target,
    );
  });
}

/** Forms with a subspace gate, by themselves and before tiers. */
async function gatedForms(offer: Offer, effects: readonly TierEffect[]): Promise<Candidate[]> {
  const { plan, group, activations, options, target, context } = offer;
  const { sensitivities } = offer.effects;
  const candidates: Candidate[] = [];
  for (const { gate, closed, errors } of await surveySubspaces(
    context,
    group,
    closing(activations, options),
  )) {
    if (closed.validation < leastClosed) continue;
    const shares = twoTiers(closed.validation);
    const divergences = errors.map((error, index) => error * sensitivities[index]!);
    const candidate = (form: Form, lost: Pick<Candidate, "errors" | "divergences">) =>
      candidates.push(candidateOf(plan.graph, group, form, lost, shares, target));
    if (options.forms.includes("gated")) candidate({ gate, tier: null }, { errors, divergences });
    if (!options.forms.includes("gated+tiered")) continue;
    for (const { tier, errors: slow, divergences: diverged } of effects)
      candidate(
        { gate, tier },
        {
          errors: errors.map((error, index) => error + shares.slow * slow[index]!),
          divergences: divergences.map((one, index) => one + shares.slow * diverged[index]!),
        },
      );
  }
  return candidates;
}

/** Those k whose gate closes for some tokens at the largest epsilon; the others need no closer look. */
function closing(activations: ActivationSurvey | null, { epsilon }: PlanOptions): readonly number[] {
  const most = Math.max(...epsilon);
  return (activations?.residuals ?? []).flatMap(({ k, rho }) => {
    const quantiles = rho.calibration ?? rho.heldout;
    return quantiles[Math.floor(leastClosed * (quantiles.length - 1))]! < most ? [k] : [];
  });
}

function twoTiers(closed: number): TierShares {
  return { fast: closed, middle: 0, slow: 1 - closed };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
