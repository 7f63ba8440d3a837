import { conflict, tierOf } from "./forms.js";
import type { Graph, Node, ValueId } from "./graph.js";
import type { Plan } from "./plan.js";
import { inputsOf, nodeIndex, valueWidths } from "./walk.js";

/** A named property that must hold of every graph; returns what is wrong, or null. */
interface Invariant {
  readonly name: string;
  readonly check: (node: Node, widths: ReadonlyMap<ValueId, number>, graph: Graph) => string | null;
}

const invariants: readonly Invariant[] = [
  {
    name: "inputs-have-the-node's-width",
    check: (node, widths) => {
      const width = (id: ValueId) => widths.get(id);
      switch (node.kind) {
        case "embedding":
          return null;
        case "norm":
          return (
            mismatch(width(node.input), node.heads * node.gain.length) ??
            (node.bias === null ? null : mismatch(node.bias.length, node.gain.length))
          );
        case "linear":
          return mismatch(width(node.input), node.weight.d);
        case "rope":
          return mismatch(width(node.input), node.heads * node.headDim);
        case "activation":
          return null;
        case "attention":
          return (
            mismatch(width(node.query), node.heads * node.headDim) ??
            mismatch(width(node.key), node.kvHeads * node.headDim) ??
            mismatch(width(node.value), node.kvHeads * node.headDim)
          );
        case "add":
        case "multiply":
          return mismatch(width(node.left), width(node.right));
        default:
          return node satisfies never;
      }
    },
  },
  {
    name: "heads-divide",
    check: (node) => {
      if (node.kind === "attention" && node.heads % node.kvHeads !== 0) {
        return `${node.heads} heads, ${node.kvHeads} key-value heads`;
      }
      if (node.kind === "rope" && (node.rotaryDim % 2 !== 0 || node.rotaryDim > node.headDim)) {
        return `rotaryDim ${node.rotaryDim} of headDim ${node.headDim}`;
      }
      if (node.kind === "rope" && (node.scaling.kind === "divisors" || node.scaling.kind === "longrope")) {
        return mismatch(node.scaling.divisors.length, node.rotaryDim / 2);
      }
      return null;
    },
  },
  {
    name: "table-has-every-row",
    check: (node, _, graph) => {
      if (node.kind !== "embedding") return null;
      const rows = node.offset + (node.index === "token" ? graph.vocabulary : graph.context);
      return rows <= node.table.out ? null : `row ${rows - 1} is read of ${node.table.out}`;
    },
  },
  {
    name: "bias-matches-rows",
    check: (node) =>
      node.kind === "linear" && node.bias !== null ? mismatch(node.bias.length, node.weight.out) : null,
  },
];

/** What is wrong with a graph: one line per violation, beginning with the invariant's name. */
export function violations(graph: Graph): string[] {
  const found: string[] = [];
  const seen = new Set<ValueId>();
  for (const node of graph.nodes) {
    for (const input of inputsOf(node)) {
      if (!seen.has(input)) found.push(`defined-before-use: ${node.id} reads ${input}`);
    }
    if (seen.has(node.id)) found.push(`one-definition: ${node.id}`);
    seen.add(node.id);
  }
  if (found.length > 0) return found;
  const widths = valueWidths(graph);
  for (const node of graph.nodes) {
    for (const { name, check } of invariants) {
      const wrong = check(node, widths, graph);
      if (wrong !== null) found.push(`${name}: ${node.id}: ${wrong}`);
    }
  }
  const head = nodeIndex(graph).get(graph.output);
  if (head?.kind !== "linear") found.push(`output-is-a-linear: ${graph.output}`);
  else if (head.weight.out !== graph.vocabulary) found.push(`output-has-the-vocabulary: ${head.weight.out}`);
  return found;
}

/** Throws (a defect of gsic) if a pass left a plan that violates an invariant. */
export function verifyPlan(plan: Plan, pass: string): void {
  const found = violations(plan.graph);
  for (const node of plan.graph.nodes) {
    if (node.kind === "linear" && !plan.linears.has(node.id))
      found.push(`every-linear-is-decided: ${node.id}`);
  }
  for (const group of plan.groups) {
    const forms = group.linears.map((id) => [id, plan.linears.get(id)?.form] as const);
    const first = forms[0]?.[1];
    for (const [id, form] of forms) {
      const differs = form === undefined || first === undefined ? null : conflict(form, first);
      if (differs !== null) found.push(`a-group-shares: ${id}: ${differs}`);
      const rank = (form && tierOf(form)?.rank) ?? 0;
      if (rank % 4 !== 0) found.push(`rank-in-fours: ${id}: ${rank}`);
    }
  }
  if (found.length > 0) throw new Error(`after pass ${pass}:\n  ${found.join("\n  ")}`);
}

function mismatch(found: number | undefined, expected: number | undefined): string | null {
  return found === expected ? null : `width ${found}, expected ${expected}`;
}
