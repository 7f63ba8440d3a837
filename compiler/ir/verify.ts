import { conflict } from "./forms.js";
import type { Graph, Node, ValueId } from "./graph.js";
import type { Plan } from "./plan.js";
import { inputsOf, nodeIndex, valueWidths } from "./walk.js";

/** Two widths that must be the same; undefined: of a value that nothing defines. */
interface Widths {
  readonly found: number | undefined;
  readonly expected: number | undefined;
}

/** A property that every graph must have and this one has not, and what is there instead. */
type BrokenInvariant =
  | { readonly invariant: "defined-before-use"; readonly input: ValueId }
  | { readonly invariant: "one-definition" }
  | ({ readonly invariant: "inputs-have-the-node's-width" } & Widths)
  | ({ readonly invariant: "bias-matches-rows" } & Widths)
  | ({ readonly invariant: "a-divisor-for-each-pair" } & Widths)
  | { readonly invariant: "heads-divide"; readonly heads: number; readonly kvHeads: number }
  | { readonly invariant: "rotation-fits-head"; readonly rotaryDim: number; readonly headDim: number }
  | { readonly invariant: "table-has-every-row"; readonly lastRow: number; readonly rows: number }
  | { readonly invariant: "output-is-a-linear"; readonly output: ValueId }
  | { readonly invariant: "output-has-the-vocabulary"; readonly rows: number }
  | { readonly invariant: "every-linear-is-decided" }
  /** `shared` is what linears of one input have in common, in words. */
  | { readonly invariant: "a-group-shares"; readonly shared: string }
  | { readonly invariant: "rank-in-fours"; readonly rank: number };

/** What is wrong with a node; of the graph as a whole where `node` is null. */
type Violation = { readonly node: ValueId | null } & BrokenInvariant;

/** A check of one node by itself. */
type NodeCheck = (node: Node, widths: ReadonlyMap<ValueId, number>, graph: Graph) => BrokenInvariant | null;

const nodeChecks: readonly NodeCheck[] = [
  (node, widths) => {
    const same = (id: ValueId, expected: number | undefined) =>
      mismatch("inputs-have-the-node's-width", widths.get(id), expected);
    switch (node.kind) {
      case "embedding":
      case "activation":
        return null;
      case "norm":
        return same(node.input, node.heads * node.gain.length);
      case "linear":
        return same(node.input, node.weight.d);
      case "rope":
        return same(node.input, node.heads * node.headDim);
      case "attention":
        return (
          same(node.query, node.heads * node.headDim) ??
          same(node.key, node.kvHeads * node.headDim) ??
          same(node.value, node.kvHeads * node.headDim)
        );
      case "add":
      case "multiply":
        return same(node.left, widths.get(node.right));
      default:
        return node satisfies never;
    }
  },
  (node) => {
    if (node.kind !== "attention" || node.heads % node.kvHeads === 0) return null;
    return { invariant: "heads-divide", heads: node.heads, kvHeads: node.kvHeads };
  },
  (node) => {
    if (node.kind !== "rope") return null;
    const { rotaryDim, headDim, scaling } = node;
    if (rotaryDim % 2 !== 0 || rotaryDim > headDim)
      return { invariant: "rotation-fits-head", rotaryDim, headDim };
    if (scaling.kind !== "divisors" && scaling.kind !== "longrope") return null;
    return mismatch("a-divisor-for-each-pair", scaling.divisors.length, rotaryDim / 2);
  },
  (node, _, graph) => {
    if (node.kind !== "embedding") return null;
    const lastRow = node.offset + (node.index === "token" ? graph.vocabulary : graph.context) - 1;
    const rows = node.table.out;
    return lastRow < rows ? null : { invariant: "table-has-every-row", lastRow, rows };
  },
  (node) => {
    if ((node.kind !== "linear" && node.kind !== "norm") || node.bias === null) return null;
    const rows = node.kind === "linear" ? node.weight.out : node.gain.length;
    return mismatch("bias-matches-rows", node.bias.length, rows);
  },
];

/** What is wrong with a graph. Where its wiring is, that is all that is looked for. */
export function violations(graph: Graph): Violation[] {
  const found: Violation[] = [];
  const seen = new Set<ValueId>();
  for (const node of graph.nodes) {
    for (const input of inputsOf(node)) {
      if (!seen.has(input)) found.push({ invariant: "defined-before-use", node: node.id, input });
    }
    if (seen.has(node.id)) found.push({ invariant: "one-definition", node: node.id });
    seen.add(node.id);
  }
  if (found.length > 0) return found;
  const widths = valueWidths(graph);
  for (const node of graph.nodes) {
    for (const check of nodeChecks) {
      const broken = check(node, widths, graph);
      if (broken !== null) found.push({ node: node.id, ...broken });
    }
  }
  const { output, vocabulary } = graph;
  const head = nodeIndex(graph).get(output);
  if (head?.kind !== "linear") found.push({ invariant: "output-is-a-linear", node: null, output });
  else if (head.weight.out !== vocabulary)
    found.push({ invariant: "output-has-the-vocabulary", node: null, rows: head.weight.out });
  return found;
}

/** Throws (a defect of gsic) if a pass left a plan that violates an invariant. */
export function verifyPlan(plan: Plan, pass: string): void {
  const found = violations(plan.graph);
  for (const { id, kind } of plan.graph.nodes) {
    if (kind === "linear" && !plan.linears.has(id))
      found.push({ invariant: "every-linear-is-decided", node: id });
  }
  for (const group of plan.groups) {
    const forms = group.linears.map((id) => [id, plan.linears.get(id)?.form] as const);
    const first = forms[0]?.[1];
    for (const [node, form] of forms) {
      const shared = form === undefined || first === undefined ? null : conflict(form, first);
      if (shared !== null) found.push({ invariant: "a-group-shares", node, shared });
      const rank = form?.tier?.rank ?? 0;
      if (rank % 4 !== 0) found.push({ invariant: "rank-in-fours", node, rank });
    }
  }
  if (found.length > 0) throw new Error(`after pass ${pass}:\n  ${found.map(violationText).join("\n  ")}`);
}

/** A violation in words: the invariant's name, the node, and what is there. */
export function violationText(violation: Violation): string {
  const { invariant, node } = violation;
  const details = detailsOf(violation);
  return [invariant, ...(node === null ? [] : [node]), ...(details === null ? [] : [details])].join(": ");
}

function detailsOf(broken: BrokenInvariant): string | null {
  switch (broken.invariant) {
    case "one-definition":
    case "every-linear-is-decided":
      return null;
    case "defined-before-use":
      return `reads ${broken.input}`;
    case "inputs-have-the-node's-width":
    case "bias-matches-rows":
    case "a-divisor-for-each-pair":
      return `width ${broken.found}, expected ${broken.expected}`;
    case "heads-divide":
      return `${broken.heads} heads, ${broken.kvHeads} key-value heads`;
    case "rotation-fits-head":
      return `rotaryDim ${broken.rotaryDim} of headDim ${broken.headDim}`;
    case "table-has-every-row":
      return `row ${broken.lastRow} is read of ${broken.rows}`;
    case "output-is-a-linear":
      return broken.output;
    case "output-has-the-vocabulary":
      return String(broken.rows);
    case "a-group-shares":
      return broken.shared;
    case "rank-in-fours":
      return String(broken.rank);
    default:
      return broken satisfies never;
  }
}

function mismatch(
  invariant: Extract<BrokenInvariant, Widths>["invariant"],
  found: number | undefined,
  expected: number | undefined,
): BrokenInvariant | null {
  return found === expected ? null : { invariant, found, expected };
}
