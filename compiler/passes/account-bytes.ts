import { factorQuantizer, sharing } from "../ir/forms.js";
import type { LinearNode, ValueId } from "../ir/graph.js";
import type { ByteAccount, LinearPlan, Plan } from "../ir/plan.js";
import type { DeviceKind } from "../ir/program.js";
import { originalMatrix } from "../ir/rounded.js";
import { linearById } from "../ir/walk.js";
import { layouts } from "../layout/devices.js";
import { factorBytes, matrixBytes } from "../layout/matrix.js";
import type { PassContext } from "./pass.js";

/** Counts, per linear, the bytes of weights that a token reads; what linears share counts at the first of its group. */
export function accountBytes(plan: Plan, { device = "cpu" }: Pick<PassContext, "device"> = {}): Plan {
  const linears = new Map<ValueId, LinearPlan>(plan.linears);
  for (const group of plan.groups) {
    group.linears.forEach((id, index) => {
      const linear = linears.get(id)!;
      const node = linearById(plan.graph, id);
      const shared = index === 0 ? sharedBytes(plan, group, node.weight.d, device) : nothingShared;
      linears.set(id, { ...linear, bytes: accountOf(node, linear, shared, device) });
    });
  }
  return { ...plan, linears };
}

/** Bytes of what the linears of an input share. */
interface SharedBytes {
  /** V. */
  readonly basis: number;
  /** B. */
  readonly correction: number;
  /** S. */
  readonly projections: number;
}

const nothingShared: SharedBytes = { basis: 0, correction: 0, projections: 0 };

function sharedBytes(plan: Plan, group: Plan["groups"][0], d: number, device: DeviceKind): SharedBytes {
  const { subspace, rank, exact } = sharing(plan, group);
  const rows = (out: number) =>
    out === 0 ? 0 : layouts[device].quantizedBytes({ out, d, quantizer: factorQuantizer, rank: 0 });
  return {
    basis: subspace === null ? 0 : factorBytes(device, subspace.k, d),
    correction: rows(rank),
    projections: rows(exact?.projections ?? 0),
  };
}

/** The cost of each tier: what was read to decide, and what computes. */
function accountOf(
  { weight }: LinearNode,
  { form }: LinearPlan,
  shared: SharedBytes,
  device: DeviceKind,
): ByteAccount {
  const { out, d } = weight;
  const dense = matrixBytes(device, originalMatrix(weight));
  const exact = matrixBytes(device, weight);
  const [subspace, tier] = [form.gate, form.tier];
  const costs: number[] = [];
  if (subspace !== null) costs.push(shared.basis + factorBytes(device, out, subspace.k));
  const decided = shared.basis + shared.projections;
  if (tier !== null) {
    const quantized = layouts[device].quantizedBytes({ out, d, quantizer: tier.quantizer, rank: tier.rank });
    costs.push(decided + shared.correction + quantized);
  }
  if (tier === null || tier.exact !== null) costs.push(decided + exact);
  const account = { dense, fast: costs[0]!, slow: costs.at(-1)! };
  return costs.length === 3 ? { ...account, middle: costs[1]! } : account;
}
