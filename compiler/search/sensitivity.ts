import { densePlan, quantizerOf } from "../ir/forms.js";
import type { Form, InputGroup, Plan } from "../ir/plan.js";
import { linearPlan } from "./candidates.js";
import { planKey } from "./search.js";
import { type Laboratory, type MeasuredText, measureVariants } from "./variants.js";

/** What a group is computed by to see what the model's output makes of its errors: coarse enough to be seen. */
export const probe: Form = { kind: "tiered", quantizer: quantizerOf(4), rank: 0, exact: null };

/**
 * How much KL (nats per token) an error causes, per unit of E||y' - y||^2, for each group: each is put at few bits in
 * a model that is dense otherwise, and the KL of its output measured. A small error's KL grows with its square, so that
 * one measurement tells all. `errors` are those of the probe, by group.
 */
export async function measureSensitivities(
  laboratory: Laboratory,
  plan: Plan,
  groups: readonly InputGroup[],
  errors: readonly number[],
  text: MeasuredText,
): Promise<number[]> {
  const dense = densePlan(plan);
  const variants = groups.map(({ linears: ids }, index) => {
    const probed = ids.map((id) => [id, linearPlan(id, probe)] as const);
    const variant: Plan = { ...dense, linears: new Map([...dense.linears, ...probed]) };
    return { name: `probe_${index}`, key: planKey(variant), plan: variant };
  });
  const found = await measureVariants(laboratory, variants, text, "Measuring what errors do to the output");
  return variants.map(({ name }, index) => {
    const kl = found.get(name)!.kl.value;
    return errors[index] === 0 ? 0 : kl / errors[index]!;
  });
}
