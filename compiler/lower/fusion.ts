import type { Node } from "../ir/graph.js";
import type { Step } from "../ir/steps.js";
import type { StepMaker } from "./step-maker.js";
import type { NodeOf, Wiring } from "./wiring.js";

/** What a fusion found around a node. */
export interface Match {
  /** The nodes besides the one it ends in that get no steps of their own. Nothing else may read them. */
  readonly absorbs: readonly Node[];
}

/** Nodes that become steps together. */
export interface Fusion<Kind extends Node["kind"] = Node["kind"], Found extends Match = Match> {
  readonly name: string;
  /** The kind of the last node, by which the steps' result is called. */
  readonly ends: Kind;
  /** What it takes, for people whose graph no fusion takes. */
  readonly takes: string;
  /** What it takes with a node; null: nothing. */
  match(node: NodeOf<Kind>, wiring: Wiring): Found | null;
  steps(found: Found, make: StepMaker): readonly Step[];
}

/** A fusion of a list: one of any kind, with what it finds known only to itself. */
export function fusion<Kind extends Node["kind"], Found extends Match>(
  it: Fusion<Kind, Found>,
): Fusion<Kind> {
  return it;
}
