import type { PlanOptions } from "../config/config.js";
import type { Target } from "../config/target.js";
import { emitterFor } from "../emit/devices.js";
import { meanBytes } from "../evaluate/account.js";
import { quantizerOf, recipeOf } from "../ir/forms.js";
import type { Graph, ValueId } from "../ir/graph.js";
import type { ByteAccount, Form, InputGroup, LinearPlan, QuantizedTier } from "../ir/plan.js";
import type { InputFactors, TierRecipe } from "../ir/steps.js";
import { linearById } from "../ir/walk.js";
import { inputFactors } from "../lower/factors.js";
import { accountBytes } from "../passes/account-bytes.js";
import { bytesWithIssue, predictSeconds } from "../passes/cost.js";
import type { TierShares } from "../report/evaluation.js";

/** A form for all linears of one input, and what is known of it before the whole model is run. */
export interface Candidate {
  readonly form: Form;
  /** Bytes that a token reads in the group, by tier, and their mean over the tokens of calibration's validation half. */
  readonly bytes: ByteAccount;
  readonly meanBytes: number;
  /** Predicted seconds of a token in the group on the target: reading weights or, where that takes longer, multiplying by them; and launches that dense does without. */
  readonly seconds: number;
  /** E||y' - y||^2 by linear: what the form computes beside W x, on calibration activations. */
  readonly errors: readonly number[];
  /** The KL of the model's output that these are predicted to cause, in nats per token, by linear. */
  readonly divergences: readonly number[];
  /** Tokens by tier. */
  readonly shares: TierShares;
}

/** The tiers at few bits that a group may have. */
export function tiersOf(options: PlanOptions, d: number): QuantizedTier[] {
  return options.bits.flatMap((bits) =>
    options.rank
      .filter((rank) => rank < d)
      .map((rank) => ({ quantizer: quantizerOf(bits), rank, exact: null })),
  );
}

/** The account of a candidate. */
export function candidateOf(
  graph: Graph,
  group: InputGroup,
  form: Form,
  { errors, divergences }: Pick<Candidate, "errors" | "divergences">,
  shares: TierShares,
  target: Target,
): Candidate {
  const accounts = groupAccounts(graph, group, form, target);
  const total = (of: (account: ByteAccount) => number) =>
    accounts.reduce((sum, account) => sum + of(account), 0);
  const bytes = {
    dense: total(({ dense }) => dense),
    fast: total(({ fast }) => fast),
    ...(accounts[0]!.middle === undefined ? {} : { middle: total(({ middle }) => middle!) }),
    slow: total(({ slow }) => slow),
  };
  const mean = meanBytes(bytes, shares);
  const timed = accounts.map((account, i) =>
    meanBytes(accountWithIssue(graph, group.linears[i]!, form, account, target), shares),
  );
  const launches = emitterFor(target).launchesFactors(factorsOf(graph, group, form)) ? 1 : 0;
  const cost = { ...target.cost, launch: 0 };
  const read = timed.reduce((sum, one) => sum + one, 0);
  const seconds = predictSeconds(read, launches, cost).total;
  return { form, bytes, meanBytes: mean, seconds, errors, divergences, shares };
}

/** A linear's account, each tier's bytes as `bytesWithIssue` has them. */
function accountWithIssue(
  graph: Graph,
  id: ValueId,
  { gate, tier }: Form,
  account: ByteAccount,
  target: Target,
): ByteAccount {
  const { out, d, dtype } = linearById(graph, id).weight;
  const dense = (bytes: number) => bytesWithIssue(bytes, dtype, out * d, target);
  const few = (bytes: number) => bytesWithIssue(bytes, `int${tier?.quantizer.bits}`, out * d, target);
  const image = (bytes: number) => bytesWithIssue(bytes, "f16", out * (gate?.k ?? 0), target);
  const [first, last] = [
    gate ? image : tier ? few : dense,
    tier === null || tier.exact !== null ? dense : few,
  ];
  return {
    dense: dense(account.dense),
    fast: first(account.fast),
    ...(account.middle === undefined ? {} : { middle: few(account.middle) }),
    slow: last(account.slow),
  };
}

/** What the linears of a group share in a form. */
function factorsOf(graph: Graph, group: InputGroup, form: Form): InputFactors {
  const { d } = linearById(graph, group.linears[0]!).weight;
  return inputFactors(recipeOfForm(group, form), form.gate, d);
}

function groupAccounts(graph: Graph, group: InputGroup, form: Form, { device }: Target): ByteAccount[] {
  const linears = groupPlans(group, form);
  const accounted = accountBytes({ graph, linears, groups: [group] }, { device });
  return group.linears.map((id) => accounted.linears.get(id)!.bytes);
}

/** Every linear of a group in a form. */
function groupPlans({ linears }: InputGroup, form: Form): ReadonlyMap<ValueId, LinearPlan> {
  return new Map(linears.map((id) => [id, linearPlan(id, form)]));
}

/** What the tiers at few bits of a group in a form are made from. */
export function recipeOfForm(group: InputGroup, form: Form): TierRecipe {
  return recipeOf({ linears: groupPlans(group, form) }, group);
}

/** A linear in a form, with no bytes until `accountBytes` counts them. */
export function linearPlan(linear: ValueId, form: Form, verdict = ""): LinearPlan {
  return { linear, form, bytes: { dense: 0, fast: 0, slow: 0 }, verdict };
}
