/** A graph with a form decided for every linear. */

import type { Graph, ValueId } from "./graph.js";

/** The numbers of bits that a weight may have in a tier. */
export const bitWidths = [3, 4, 5, 6, 8] as const;

/** One of `bitWidths`. */
export type BitWidth = (typeof bitWidths)[number];

/** How a matrix is kept at few bits; `QuantizedMatrix` in layout/quantizer.ts has the formula. */
export interface Quantizer {
  readonly bits: BitWidth;
  /** Elements along d that share a scale. */
  readonly group: 32 | 64 | 128;
  /** True: the zero point is 2^(bits - 1); false: each group has its own. */
  readonly symmetric: boolean;
}

/** The gate of rho = ||x - V g|| / ||x||, with g = V^T x and V of `k` columns: closed where rho < epsilon. */
export interface SubspaceGate {
  readonly k: number;
  readonly epsilon: number;
}

/**
 * The gate of a predicted output error: closed where ||S x|| < threshold ||x||. S [projections, d] are random
 * projections of the error E of the path that is taken then: E||S x||^2 = ||E x||^2.
 */
export interface ErrorGate {
  readonly projections: number;
  readonly threshold: number;
}

/** y = Q x + A (B^T x): Q is W at few bits, A B^T of `rank` k carries what Q loses where activations live. */
export interface QuantizedTier {
  readonly quantizer: Quantizer;
  /** A multiple of 4; 0: no correction. */
  readonly rank: number;
  /** The exact tier, y = W x, and the gate that it lies behind. */
  readonly exact: ErrorGate | null;
}

/**
 * How a linear is computed: by a gate, a tier at few bits, both or neither; compiler/ir/README.md has the table.
 * - `gate`: rho < epsilon: y = M g with g = V^T x; else as the tier says, or y = W x. V is shared per input.
 * - `tier`: y = Q x + A (B^T x), or y = W x where the error's gate is open. B and S are shared per input.
 */
export interface Form {
  readonly gate: SubspaceGate | null;
  readonly tier: QuantizedTier | null;
}

/** What people call a form: by the parts that it has. */
export type FormKind = "dense" | "gated" | "tiered" | "gated+tiered";

/** Bytes of weights that one token makes a linear read; what linears share counts at the first that reads it. */
export interface ByteAccount {
  readonly dense: number;
  /** In the form's cheapest tier: all gates closed. */
  readonly fast: number;
  /** In the tier between two gates, where the form has two. */
  readonly middle?: number;
  /** In the form's dearest tier: all gates open, with what was read to decide. */
  readonly slow: number;
}

/** What was decided for one linear, and why. */
export interface LinearPlan {
  readonly linear: ValueId;
  readonly form: Form;
  readonly bytes: ByteAccount;
  /** One sentence for people: why this form. */
  readonly verdict: string;
}

/** Linears that read the same value; `sharing` in ir/forms.ts tells what they share. */
export interface InputGroup {
  readonly input: ValueId;
  readonly linears: readonly ValueId[];
}

/** A graph with every linear decided. */
export interface Plan {
  readonly graph: Graph;
  readonly linears: ReadonlyMap<ValueId, LinearPlan>;
  readonly groups: readonly InputGroup[];
}
