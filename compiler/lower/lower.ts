import type { Graph, Node } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import type { Step } from "../ir/steps.js";
import { type ErrorDetails, GsicError } from "../support/errors.js";
import type { Fusion, Match } from "./fusion.js";
import { fusions } from "./fusions.js";
import { StepMaker } from "./step-maker.js";
import { Wiring } from "./wiring.js";

/**
 * The steps of a pass over 1 to 16 tokens: nodes fused as far as the kernels allow. Throws `graph-unsupported` (category
 * defect: of the family, whose wiring no fusion takes, or of a fusion) unless each node is taken exactly once.
 */
export function lower(plan: Plan, by: readonly Fusion[] = fusions): readonly Step[] {
  const wiring = new Wiring(plan.graph);
  const make = new StepMaker(plan, wiring);
  return groupsOf(wiring, by).flatMap(({ fusion, match }) => fusion.steps(match, make));
}

/** Throws as `lower` does where its fusions do not take each node of a graph once. */
export function requireFusions(graph: Graph): void {
  groupsOf(new Wiring(graph), fusions);
}

/** Nodes that become steps together: `last`, and those that `match` absorbs. */
interface Group {
  readonly fusion: Fusion;
  readonly match: Match;
  readonly last: Node;
}

/**
 * All groups of a graph, in the order of their last nodes. They are looked for from the graph's end: a node that no group
 * has absorbed when it is reached is the last one of a group.
 */
function groupsOf(wiring: Wiring, by: readonly Fusion[]): readonly Group[] {
  const groups: Group[] = [];
  const absorbed = new Set<Node>();
  for (const last of [...wiring.graph.nodes].reverse()) {
    if (absorbed.has(last)) continue;
    const group = groupAt(last, wiring, by);
    for (const node of group.match.absorbs) {
      requireInside(node, group, wiring);
      absorbed.add(node);
    }
    groups.push(group);
  }
  return groups.reverse();
}

function groupAt(last: Node, wiring: Wiring, by: readonly Fusion[]): Group {
  const candidates = by.filter(({ ends }) => ends === last.kind);
  for (const fusion of candidates) {
    const match = fusion.match(last, wiring);
    if (match !== null) return { fusion, match, last };
  }
  const ways = candidates.map(({ takes }) => takes).join("; ");
  throw unsupported(wiring.graph, last, {
    message: `no fusion takes this ${last.kind} node`,
    hint: `wire the family so that ${ways === "" ? "a fusion absorbs it" : `it is ${ways}`}, or add a fusion to compiler/lower/fusions.ts`,
  });
}

/** Throws unless an absorbed node is read, and only within its group: then no other group can absorb it too. */
function requireInside(node: Node, { fusion, match, last }: Group, wiring: Wiring): void {
  const readers = wiring.readersOf(node.id);
  const outside = readers.find((reader) => reader !== last && !match.absorbs.includes(reader));
  if (readers.length > 0 && outside === undefined) return;
  const reader = outside === undefined ? "is a result" : `is read by ${outside.id}`;
  throw unsupported(wiring.graph, node, {
    message: `fusion ${JSON.stringify(fusion.name)} of ${last.id} absorbs a node that ${reader}`,
    hint: "let its match in compiler/lower/fusions.ts take only what `own` gives it",
  });
}

function unsupported(graph: Graph, { id }: Node, text: Pick<ErrorDetails, "message" | "hint">): GsicError {
  const where = `${graph.name}, family ${graph.family}: ${id}`;
  return new GsicError({ category: "defect", code: "graph-unsupported", where, ...text });
}
