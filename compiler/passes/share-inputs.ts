import type { LinearNode, ValueId } from "../ir/graph.js";
import type { InputGroup, LinearPlan, Plan } from "../ir/plan.js";

/** Groups linears that read the same value, so that they can share one basis. All linears begin dense. */
export function shareInputs(plan: Plan): Plan {
  const byInput = new Map<ValueId, LinearNode[]>();
  const linears = new Map<ValueId, LinearPlan>();
  for (const node of plan.graph.nodes) {
    if (node.kind !== "linear") continue;
    byInput.set(node.input, [...(byInput.get(node.input) ?? []), node]);
    linears.set(node.id, {
      linear: node.id,
      form: { gate: null, tier: null },
      bytes: { dense: 0, fast: 0, slow: 0 },
      verdict: "dense",
    });
  }
  const groups: InputGroup[] = [...byInput].map(([input, nodes]) => ({
    input,
    linears: nodes.map((node) => node.id),
  }));
  return { ...plan, linears, groups };
}
