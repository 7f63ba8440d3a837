import type { ValueId } from "./graph.js";
import type { ErrorGate, Form, InputGroup, Plan, Quantizer, SubspaceGate, Tier } from "./plan.js";
import type { TierRecipe } from "./steps.js";

/** How factors that many rows share are kept: B^T, and the projections S of a gate. */
export const factorQuantizer: Quantizer = { bits: 8, group: 64, symmetric: true };

/** The quantiser that loses least for so many bits, all in; compiler/calibrate/README.md has the figures. */
export function quantizerOf(bits: Quantizer["bits"]): Quantizer {
  return { bits, group: 32, symmetric: true };
}

/** The subspace gate of a form. */
export function subspaceOf(form: Form): SubspaceGate | null {
  switch (form.kind) {
    case "gated":
    case "gated+tiered":
      return { k: form.k, epsilon: form.epsilon };
    case "dense":
    case "tiered":
      return null;
    default:
      return form satisfies never;
  }
}

/** The tier at few bits of a form. */
export function tierOf(form: Form): Tier | null {
  switch (form.kind) {
    case "tiered":
    case "gated+tiered":
      return { quantizer: form.quantizer, rank: form.rank, exact: form.exact };
    case "dense":
    case "gated":
      return null;
    default:
      return form satisfies never;
  }
}

/** The form that has these tiers. */
export function formFrom(subspace: SubspaceGate | null, tier: Tier | null): Form {
  if (subspace === null) return tier === null ? { kind: "dense" } : { kind: "tiered", ...tier };
  return tier === null ? { kind: "gated", ...subspace } : { kind: "gated+tiered", ...subspace, ...tier };
}

/** What the linears of one input have in common: V and its gate, the rank of B, S and its gate. */
export interface Sharing {
  readonly subspace: SubspaceGate | null;
  /** Columns of B; 0: none. */
  readonly rank: number;
  readonly exact: ErrorGate | null;
}

/** What linears of one input share, as their forms say; they agree, or `conflict` says why not. */
export function sharing(plan: Pick<Plan, "linears">, group: InputGroup): Sharing {
  const { form } = plan.linears.get(group.linears[0]!)!;
  const tier = tierOf(form);
  return { subspace: subspaceOf(form), rank: tier?.rank ?? 0, exact: tier?.exact ?? null };
}

/** What the tiers at few bits of an input's linears are made from; without quantisers where they have none. */
export function recipeOf(plan: Pick<Plan, "linears">, group: InputGroup): TierRecipe {
  const { rank, exact } = sharing(plan, group);
  const quantizers = group.linears.flatMap((id) => tierOf(plan.linears.get(id)!.form)?.quantizer ?? []);
  const { input, linears } = group;
  return { input, linears, quantizers, rank, projections: exact?.projections ?? 0 };
}

/**
 * Why two forms cannot stand side by side on one input; null where they can. Linears of one input have one kind of
 * form, one gate of each kind, and one B; each has a quantiser of its own.
 */
export function conflict(a: Form, b: Form): string | null {
  if (a.kind !== b.kind) return "one kind of form";
  const [gateA, gateB] = [subspaceOf(a), subspaceOf(b)];
  if (gateA?.k !== gateB?.k || gateA?.epsilon !== gateB?.epsilon) return "one basis and one gate";
  const [tierA, tierB] = [tierOf(a), tierOf(b)];
  if (tierA?.rank !== tierB?.rank) return "one correction, and so one rank";
  const [exactA, exactB] = [tierA?.exact, tierB?.exact];
  const same = exactA?.projections === exactB?.projections && exactA?.threshold === exactB?.threshold;
  return same ? null : "one gate of the exact tier";
}

/** A gate that decides at run time, and is counted. */
export interface Gate {
  /** In `Program.tiers`, reports and `gsic eval`. */
  readonly name: string;
  readonly input: ValueId;
  readonly kind: "subspace" | "error";
}

/** Ends the name of the exact tier's gate where a subspace gate stands before it. */
export const exactSuffix = ":exact";

/** What a gate is called: its input, and behind the subspace gate of that input `<input>:exact`. */
export function gateName(input: ValueId, kind: Gate["kind"], hasSubspace: boolean): string {
  return kind === "error" && hasSubspace ? `${input}${exactSuffix}` : input;
}

/** The gates of one input, in the order in which they decide. */
export function gatesOf(plan: Pick<Plan, "linears">, group: InputGroup): Gate[] {
  const shared = sharing(plan, group);
  const { input } = group;
  const name = (kind: Gate["kind"]) => gateName(input, kind, shared.subspace !== null);
  const gate = (kind: Gate["kind"]): Gate => ({ name: name(kind), input, kind });
  return [
    ...(shared.subspace === null ? [] : [gate("subspace")]),
    ...(shared.exact === null ? [] : [gate("error")]),
  ];
}

/** All gates of a plan, in the order of their counters. */
export function planGates(plan: Plan): Gate[] {
  return plan.groups.flatMap((group) => gatesOf(plan, group));
}

/** The plan with every linear dense. */
export function densePlan(plan: Plan): Plan {
  const linears = new Map(
    [...plan.linears].map(([id, linear]) => [id, { ...linear, form: { kind: "dense" } as const }]),
  );
  return { ...plan, linears };
}

/** Whether all linears are dense. */
export function isDense(plan: Plan): boolean {
  return [...plan.linears.values()].every(({ form }) => form.kind === "dense");
}

/** A quantiser in a few letters: `5 bits/32`, with `a` for zero points of their own. */
export function quantizerText({ bits, group, symmetric }: Quantizer): string {
  return `${bits} bits/${group}${symmetric ? "" : "a"}`;
}

/** A fitted threshold for people, who need no more than three digits of it. */
export function thresholdText(threshold: number): string {
  return String(Number(threshold.toPrecision(3)));
}

/** A form in a few words. */
export function formText(form: Form): string {
  switch (form.kind) {
    case "dense":
      return "dense";
    case "gated":
      return `gated (k = ${form.k}, epsilon = ${thresholdText(form.epsilon)})`;
    case "tiered":
      return `tiered (${tierText(form)})`;
    case "gated+tiered":
      return `gated+tiered (k = ${form.k}, epsilon = ${thresholdText(form.epsilon)}; ${tierText(form)})`;
    default:
      return form satisfies never;
  }
}

function tierText({ quantizer, rank, exact }: Tier): string {
  const gate = exact === null ? "" : `, exact above ${thresholdText(exact.threshold)}`;
  return `${quantizerText(quantizer)}, rank ${rank}${gate}`;
}
