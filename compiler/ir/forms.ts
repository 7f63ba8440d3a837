import { roundsCache, withCache } from "./cache.js";
import type { Graph, ValueId } from "./graph.js";
import type {
  BitWidth,
  ErrorGate,
  Form,
  FormKind,
  InputGroup,
  Plan,
  QuantizedTier,
  Quantizer,
  SubspaceGate,
} from "./plan.js";
import { mapMatrices, originalMatrix, roundedMatrices } from "./rounded.js";
import type { TierRecipe } from "./steps.js";

/** How factors that many rows share are kept: B^T, and the projections S of a gate. */
export const factorQuantizer: Quantizer = { bits: 8, group: 64, symmetric: true };

/** The quantiser that loses least for so many bits, all in; compiler/calibrate/README.md has the figures. */
export function quantizerOf(bits: BitWidth): Quantizer {
  return { bits, group: 32, symmetric: true };
}

/** y = W x. */
export const dense: Form = { gate: null, tier: null };

/** What people call a form. */
export function kindOf({ gate, tier }: Form): FormKind {
  if (gate === null) return tier === null ? "dense" : "tiered";
  return tier === null ? "gated" : "gated+tiered";
}

/** Whether a form is y = W x. */
export function isDenseForm(form: Form): boolean {
  return kindOf(form) === "dense";
}

/** What the linears of one input have in common: V and its gate, the rank of B, S and its gate. */
interface Sharing {
  readonly subspace: SubspaceGate | null;
  /** Columns of B; 0: none. */
  readonly rank: number;
  readonly exact: ErrorGate | null;
}

/** What linears of one input share, as their forms say; they agree, or `conflict` says why not. */
export function sharing(plan: Pick<Plan, "linears">, group: InputGroup): Sharing {
  const { form } = plan.linears.get(group.linears[0]!)!;
  const { gate, tier } = form;
  return { subspace: gate, rank: tier?.rank ?? 0, exact: tier?.exact ?? null };
}

/** What the tiers at few bits of an input's linears are made from; without quantisers where they have none. */
export function recipeOf(plan: Pick<Plan, "linears">, group: InputGroup): TierRecipe {
  const { rank, exact } = sharing(plan, group);
  const quantizers = group.linears.flatMap((id) => plan.linears.get(id)!.form.tier?.quantizer ?? []);
  const { input, linears } = group;
  return { input, linears, quantizers, rank, projections: exact?.projections ?? 0 };
}

/**
 * Why two forms cannot stand side by side on one input; null where they can. Linears of one input have one kind of
 * form, one gate of each kind, and one B; each has a quantiser of its own.
 */
export function conflict(a: Form, b: Form): string | null {
  if (kindOf(a) !== kindOf(b)) return "one kind of form";
  const [gateA, gateB] = [a.gate, b.gate];
  if (gateA?.k !== gateB?.k || gateA?.epsilon !== gateB?.epsilon) return "one basis and one gate";
  const [tierA, tierB] = [a.tier, b.tier];
  if (tierA?.rank !== tierB?.rank) return "one correction, and so one rank";
  const [exactA, exactB] = [tierA?.exact, tierB?.exact];
  const same = exactA?.projections === exactB?.projections && exactA?.threshold === exactB?.threshold;
  return same ? null : "one gate of the exact tier";
}

/** A gate that decides at run time, and is counted. */
export interface Gate {
  /** In `Program.gates`, reports and `gsic eval`. */
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
function gatesOf(plan: Pick<Plan, "linears">, group: InputGroup): Gate[] {
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

/** The plan that computes what the model does: every linear dense, matrices as they are stored, a cache of f32. */
export function densePlan(plan: Plan): Plan {
  const linears = new Map([...plan.linears].map(([id, linear]) => [id, { ...linear, form: dense }]));
  return { ...plan, graph: originalGraph(plan.graph), linears };
}

/** The graph that the model's files have: matrices as they are stored, a cache of f32. */
export function originalGraph(graph: Graph): Graph {
  return withCache(mapMatrices(graph, originalMatrix), "f32");
}

/** Whether all linears are dense, no matrix is rounded to another type, and the cache rounds nothing. */
export function isDense({ linears, graph }: Plan): boolean {
  const isUnchanged = [...linears.values()].every(({ form }) => isDenseForm(form));
  return isUnchanged && roundedMatrices(graph).length === 0 && !roundsCache(graph);
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
  const { gate, tier } = form;
  const parts = [
    ...(gate === null ? [] : [`k = ${gate.k}, epsilon = ${thresholdText(gate.epsilon)}`]),
    ...(tier === null ? [] : [tierText(tier)]),
  ];
  return parts.length === 0 ? kindOf(form) : `${kindOf(form)} (${parts.join("; ")})`;
}

function tierText({ quantizer, rank, exact }: QuantizedTier): string {
  const gate = exact === null ? "" : `, exact above ${thresholdText(exact.threshold)}`;
  return `${quantizerText(quantizer)}, rank ${rank}${gate}`;
}

/** A form in JSON that people and scripts read: its kind, and the fields of its parts. */
export type WrittenForm = { readonly kind: FormKind } & Partial<SubspaceGate & QuantizedTier>;

/** For JSON.stringify: forms as people call them, wherever they stand. */
export function writeForms(_key: string, value: unknown): unknown {
  if (!isForm(value)) return value;
  return { kind: kindOf(value), ...value.gate, ...value.tier } satisfies WrittenForm;
}

/** For JSON.parse of what `writeForms` wrote. */
export function readForms(_key: string, value: unknown): unknown {
  if (!isWritten(value)) return value;
  const { k, epsilon, quantizer, rank, exact } = value;
  const gate = k === undefined || epsilon === undefined ? null : { k, epsilon };
  const tier = quantizer === undefined ? null : { quantizer, rank: rank ?? 0, exact: exact ?? null };
  return { gate, tier } satisfies Form;
}

function isForm(value: unknown): value is Form {
  if (typeof value !== "object" || value === null) return false;
  const keys = Object.keys(value);
  return keys.length === 2 && "gate" in value && "tier" in value;
}

const kinds: readonly unknown[] = ["dense", "gated", "tiered", "gated+tiered"] satisfies FormKind[];

function isWritten(value: unknown): value is WrittenForm {
  return typeof value === "object" && value !== null && "kind" in value && kinds.includes(value.kind);
}
