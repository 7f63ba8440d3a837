import { factorBytes, matrixBytes } from "../cost.js";
import { GsicError } from "../errors.js";
import { linearById } from "../graph.js";
import type { DeviceKind, Form, InputGroup, LinearPlan, Plan, ValueId } from "../ir.js";
import type { PassContext } from "./index.js";

/**
 * Gives every linear the form that the configuration asks for: gated with the first k and epsilon where `gated` is
 * among the forms and the basis is a proper subspace (k < d), else dense. The output head stays dense. Throws
 * `plan-k-range` (category usage) where no linear is wide enough for k.
 */
export function chooseForms(plan: Plan, context: PassContext): Plan {
  requireRoom(plan, context);
  const linears = new Map<ValueId, LinearPlan>(plan.linears);
  for (const group of plan.groups) {
    const { form, verdict } = formOf(plan, group, context);
    for (const id of group.linears) linears.set(id, { ...linears.get(id)!, form, verdict });
  }
  return { ...plan, linears };
}

/** A k that no linear has room for is a mistake, not a choice. */
function requireRoom({ graph, groups }: Plan, { options }: PassContext): void {
  const k = options.k[0]!;
  const widths = groups
    .filter(({ linears }) => !linears.includes(graph.output))
    .map(({ linears }) => linearById(graph, linears[0]!).weight.d);
  const widest = Math.max(0, ...widths);
  if (!options.forms.includes("gated") || widths.length === 0 || k < widest) return;
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
  { options, device }: PassContext,
): { form: Form; verdict: string } {
  const dense: Form = { kind: "dense" };
  if (!options.forms.includes("gated"))
    return { form: dense, verdict: "stays dense: no other form is configured" };
  if (group.linears.includes(plan.graph.output))
    return { form: dense, verdict: "stays dense: the output head" };
  const k = options.k[0]!;
  const epsilon = options.epsilon[0]!;
  const { d } = linearById(plan.graph, group.linears[0]!).weight;
  if (k >= d) return { form: dense, verdict: `stays dense: k = ${k} is not below d = ${d}` };
  const form: Form = { kind: "gated", k, epsilon };
  if (closedBytes(plan, group, k, device) < denseBytes(plan, group, device))
    return { form, verdict: "gated, as configured" };
  return { form, verdict: "gated, as configured, but reads more than dense even when closed" };
}

/** Bytes that a token reads in a group with its gate closed: the shared basis, and every image. */
function closedBytes({ graph }: Plan, { linears }: InputGroup, k: number, device?: DeviceKind): number {
  const weights = linears.map((id) => linearById(graph, id).weight);
  return weights.reduce(
    (sum, { out }) => sum + factorBytes(out, k, device),
    factorBytes(k, weights[0]!.d, device),
  );
}

function denseBytes({ graph }: Plan, { linears }: InputGroup, device?: DeviceKind): number {
  return linears.reduce((sum, id) => sum + matrixBytes(linearById(graph, id).weight, device), 0);
}
