import { dense, isDenseForm, kindOf, quantizerOf } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type {
  Form,
  FormKind,
  InputGroup,
  LinearPlan,
  Plan,
  QuantizedTier,
  SubspaceGate,
} from "../ir/plan.js";
import { linearById } from "../ir/walk.js";
import { GsicError } from "../support/errors.js";
import { accountBytes } from "./account-bytes.js";
import type { ConfiguredForm, PassContext } from "./pass.js";

/**
 * Gives every linear the form that is configured, of lists of parameters the first: the last of the forms that is not
 * dense, where the input is wide enough for its k and its rank. The output head is never gated. Throws `plan-k-range`
 * (category usage) where no linear is wide enough for k.
 */
export function chooseForms(plan: Plan, context: PassContext): Plan {
  const { options } = context;
  const kind = options.forms.filter((form) => form !== "dense").at(-1) ?? "dense";
  if (kind === "gated" || kind === "gated+tiered") requireRoom(plan, options);
  const linears = new Map<ValueId, LinearPlan>(plan.linears);
  for (const group of plan.groups) {
    const { form, verdict } = formOf(plan, group, kind, options);
    for (const id of group.linears) linears.set(id, { ...linears.get(id)!, form, verdict });
  }
  return withWarnings({ ...plan, linears }, context);
}

/** A k that no linear has room for is a mistake, not a choice. */
function requireRoom({ graph, groups }: Plan, options: ConfiguredForm): void {
  const k = options.k[0]!;
  const widths = groups
    .filter(({ linears }) => !linears.includes(graph.output))
    .map(({ linears }) => linearById(graph, linears[0]!).weight.d);
  const widest = Math.max(0, ...widths);
  if (widths.length === 0 || k < widest) return;
  throw new GsicError({
    category: "usage",
    code: "plan-k-range",
    message: `k = ${k} is no less than any linear is wide: the widest has d = ${widest}`,
    where: "model.toml: plan.k",
    hint: `lower it below ${widest}; a subspace saves most below half of d`,
  });
}

function formOf(
  plan: Plan,
  group: InputGroup,
  kind: FormKind,
  options: ConfiguredForm,
): { form: Form; verdict: string } {
  if (kind === "dense") return { form: dense, verdict: "stays dense: no other form is configured" };
  const { d } = linearById(plan.graph, group.linears[0]!).weight;
  const tier = kind === "gated" ? null : configuredTier(options, d);
  const gate: SubspaceGate = { k: options.k[0]!, epsilon: options.epsilon[0]! };
  const wanted = kind !== "tiered";
  const why = group.linears.includes(plan.graph.output)
    ? "the output head"
    : gate.k >= d
      ? `k = ${gate.k} is not below d = ${d}`
      : null;
  const form = { gate: wanted && why === null ? gate : null, tier };
  if (kindOf(form) === kind) return { form, verdict: `${kind}, as configured` };
  return isDenseForm(form)
    ? { form, verdict: `stays dense: ${why}` }
    : { form, verdict: `${kindOf(form)} without a gate: ${why}` };
}

function configuredTier({ bits = [4], rank = [0] }: ConfiguredForm, d: number): QuantizedTier {
  return { quantizer: quantizerOf(bits[0]!), rank: rank[0]! < d ? rank[0]! : 0, exact: null };
}

/** Says where a form reads no less than dense even in its cheapest tier. */
function withWarnings(plan: Plan, context: PassContext): Plan {
  const accounted = accountBytes(plan, context);
  const linears = new Map(plan.linears);
  for (const { linears: ids } of plan.groups) {
    const total = (of: "fast" | "dense") =>
      ids.reduce((sum, id) => sum + accounted.linears.get(id)!.bytes[of], 0);
    for (const id of ids) {
      const linear = linears.get(id)!;
      if (isDenseForm(linear.form) || total("fast") < total("dense")) continue;
      const verdict = `${linear.verdict}, but reads more than dense even when closed`;
      linears.set(id, { ...linear, verdict });
    }
  }
  return { ...plan, linears };
}
