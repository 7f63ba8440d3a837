import { factorBytes, matrixBytes } from "../cost.js";
import { linearById } from "../graph.js";
import type { ByteAccount, DeviceKind, LinearNode, LinearPlan, Plan, ValueId } from "../ir.js";

/** Counts, per linear, the bytes of weights that a token reads; a basis is counted at the first linear of its group. */
export function accountBytes(plan: Plan, { device = "cpu" }: { device?: DeviceKind } = {}): Plan {
  const linears = new Map<ValueId, LinearPlan>(plan.linears);
  for (const group of plan.groups) {
    group.linears.forEach((id, index) => {
      const linear = linears.get(id)!;
      linears.set(id, {
        ...linear,
        bytes: accountOf(linearById(plan.graph, id), linear, index === 0, device),
      });
    });
  }
  return { ...plan, linears };
}

function accountOf(node: LinearNode, plan: LinearPlan, readsBasis: boolean, device: DeviceKind): ByteAccount {
  const dense = matrixBytes(node.weight, device);
  switch (plan.form.kind) {
    case "dense":
      return { dense, fast: dense, slow: dense };
    case "gated": {
      const basis = readsBasis ? factorBytes(plan.form.k, node.weight.d, device) : 0;
      return { dense, fast: basis + factorBytes(node.weight.out, plan.form.k, device), slow: basis + dense };
    }
    default:
      return plan.form satisfies never;
  }
}
