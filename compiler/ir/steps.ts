/** A plan lowered to the steps of a token, before they become kernels and launches. */

import type {
  ActivationFunction,
  AttentionNode,
  EmbeddingNode,
  MatrixRef,
  NormNode,
  RopeNode,
  ValueId,
  VectorRef,
} from "./graph.js";
import type { ErrorGate, Quantizer, SubspaceGate } from "./plan.js";

/** V^T, [k, d], of the linears that read `input`. */
interface BasisSource {
  readonly kind: "basis";
  readonly input: ValueId;
  readonly k: number;
  readonly d: number;
}

/** A matrix of a stored element type in the bundle: the model's weights, or a factor that the compiler made. */
export type PlainSource =
  | { readonly kind: "stored"; readonly matrix: MatrixRef }
  | BasisSource
  /** M = W V, [out, k], of one linear. */
  | { readonly kind: "image"; readonly linear: ValueId; readonly out: number; readonly k: number }
  /** The rows of several matrices of one type and width, one after another; all but the last in whole tiles. */
  | { readonly kind: "stacked"; readonly parts: readonly PlainSource[] };

/** What the tiers of one input's linears are made from, together. */
export interface TierRecipe {
  readonly input: ValueId;
  readonly linears: readonly ValueId[];
  /** By linear. */
  readonly quantizers: readonly Quantizer[];
  /** Columns of B. */
  readonly rank: number;
  /** Rows of S; 0 without an exact tier. */
  readonly projections: number;
}

/** A matrix [out, d] at few bits, packed together with a low-rank factor [out, rank] where `rank` is not 0. */
export type QuantizedSource = {
  readonly out: number;
  readonly d: number;
  readonly quantizer: Quantizer;
  readonly rank: number;
  readonly recipe: TierRecipe;
} & (
  | { readonly kind: "quantized"; readonly linear: ValueId }
  /** B^T. */
  | { readonly kind: "correction" }
  /** S. */
  | { readonly kind: "projections" }
);

/** Any matrix of the bundle: of a stored element type, or at few bits. */
export type WeightSource = PlainSource | QuantizedSource;

/** A copy of the head's matrix at few bits, with what each row is off at most; layout/screen.ts. */
export interface ScreenSource {
  readonly kind: "screen";
  readonly matrix: MatrixRef;
}

/** A run of output rows of one projection: one linear, or gate and up of a gated MLP taken together. */
export interface ProjectionPart {
  readonly linear: ValueId;
  readonly weight: PlainSource;
  /** Of the tier behind the subspace gate. */
  readonly image: PlainSource | null;
  /** Q and A of the tier at few bits. */
  readonly quantized: QuantizedSource | null;
  readonly bias: VectorRef | null;
  /** First column of the output value that this part writes. */
  readonly column: number;
}

/** The subspace gate of a projection, with its V, and where g = V^T x is. */
interface ProjectionGate extends SubspaceGate {
  readonly coordinates: ValueId;
  readonly basis: BasisSource;
}

/**
 * One step of the token program before it becomes a launch. Values are buffers of [16, width] f32. `layer` is that of the
 * nodes that it computes, and of the linears that it prepares an input for; attention's names the cache, too.
 */
export type Step =
  | {
      readonly kind: "embed";
      readonly layer: number | null;
      readonly output: ValueId;
      readonly width: number;
      readonly tables: readonly EmbeddingNode[];
    }
  | {
      readonly kind: "norm";
      readonly layer: number | null;
      readonly output: ValueId;
      readonly width: number;
      readonly node: NormNode;
      /** Added to the normalised value. */
      readonly residual: ValueId | null;
    }
  /** g = V^T x. */
  | {
      readonly kind: "basis";
      readonly layer: number | null;
      readonly output: ValueId;
      readonly input: ValueId;
      readonly basis: BasisSource;
    }
  /** y = f(W x + b) + residual, for all linears that read `input`; gated where `gate` is set. */
  | {
      readonly kind: "project";
      readonly layer: number | null;
      readonly output: ValueId;
      readonly input: ValueId;
      readonly d: number;
      readonly width: number;
      readonly parts: readonly ProjectionPart[];
      readonly activation: ActivationFunction | null;
      /** True: parts are [gate, up], and y = f(gate) * up. */
      readonly glu: boolean;
      readonly residual: ValueId | null;
      readonly gate: ProjectionGate | null;
      /** B^T, which quantised parts of a rank share. */
      readonly correction: QuantizedSource | null;
      /** The gate of the exact tier, behind `gate` where there are both. */
      readonly exact: (ErrorGate & { readonly source: QuantizedSource }) | null;
      /** True in the first step that reads the input: it counts tokens per tier. */
      readonly counts: boolean;
      /** True for the output head, which only runs for columns whose logits are wanted. */
      readonly head: boolean;
    }
  /** Normalises and rotates the heads of query and key, and appends key and value to the cache of `layer`. */
  | {
      readonly kind: "cache";
      readonly layer: number;
      readonly source: ValueId;
      readonly sourceWidth: number;
      readonly queryColumn: number;
      readonly keyColumn: number;
      readonly valueColumn: number;
      readonly attention: AttentionNode;
      /** RMS norms of their heads, before these are rotated. */
      readonly norms: { readonly query: NormNode; readonly key: NormNode } | null;
      readonly rope: RopeNode | null;
      /** Absent: false. True: it puts the same heads, which another step has made ready, where drafts read them. */
      readonly forDrafts?: boolean;
    }
  | {
      readonly kind: "attend";
      readonly layer: number;
      readonly output: ValueId;
      readonly source: ValueId;
      readonly sourceWidth: number;
      readonly queryColumn: number;
      readonly attention: AttentionNode;
    }
  | ScreenStep
  | RescoreStep;

/** What the two steps of a screened head have: `floors` holds the largest lower bound of each tile of sixteen logits. */
interface ScreenedHead {
  readonly layer: null;
  readonly output: ValueId;
  readonly floors: ValueId;
  readonly input: ValueId;
  readonly d: number;
  readonly width: number;
}

/** Upper bounds of all logits in `output`, by a copy of the head. */
export interface ScreenStep extends ScreenedHead {
  readonly kind: "screen";
  readonly copy: ScreenSource;
}

/** In `output`, of upper bounds, the logits of rows that may be the largest; the least number for all others. */
export interface RescoreStep extends ScreenedHead {
  readonly kind: "rescore";
  readonly weight: PlainSource;
}

/** The parts of a step that a GPU fuses further, since a launch costs more there than reading a value again. */
type StepOf<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

/** What gates and corrections multiply an input by; at least one is there. */
export interface InputFactors {
  readonly correction: QuantizedSource | null;
  readonly basis: BasisSource | null;
  readonly projections: QuantizedSource | null;
}

/** The products with them: B^T x, V^T x, S x; and, where a gate decides, ||x||^2. */
interface GivenFactors {
  readonly output: ValueId;
  readonly squares: ValueId | null;
}

/** A step that normalises its `input` on the way in, unless `norm` is null; `normed` names the result, which no buffer holds. */
interface Normed {
  readonly input: ValueId;
  readonly norm: NormNode | null;
  readonly normed: ValueId;
}

/** Where attention leaves its sums over parts of the positions, where a query may see several. */
interface PartialSums {
  readonly output: ValueId;
  /** Floats of a column. */
  readonly width: number;
  /** The most parts of a column that the projection behind attention adds up where it stages them; 0: it adds up none. */
  readonly staged: number;
}

/** An input of a projection that is what attention left of parts, at most `partials.staged` of them. */
interface AttendedInput {
  readonly attention: AttentionNode;
  readonly partials: PartialSums;
}

/** One step of the token program on a GPU: `Step` with norms and the cache's update inside the launches that need them. */
export type DeviceStep =
  | StepOf<"embed">
  | StepOf<"norm">
  /** The products with an input's factors, side by side in `output`; `squares` receives ||x||^2 of each column, [16] f64. */
  | ({
      readonly kind: "factors";
      readonly layer: number | null;
      readonly d: number;
      readonly factors: InputFactors;
    } & Normed &
      GivenFactors)
  /** `given` is what an earlier launch computed; null without factors, and where every workgroup computes for itself. */
  | (StepOf<"project"> &
      Normed & { readonly given: GivenFactors | null; readonly attended: AttendedInput | null })
  /** Normalises and rotates the heads of query and key, appends key and value to the cache, and attends: to `output`, unless a projection stages parts. */
  | (Omit<StepOf<"cache">, "kind"> & {
      readonly kind: "attend";
      readonly output: ValueId;
      readonly partials: PartialSums | null;
      /** As drafts keep the layer's keys and values, where that is another type, and they are put there, too. */
      readonly drafts?: AttentionNode;
    })
  /**
   * Adds up, of columns that see several parts of the positions, what attention left of each: to `output`, or where a
   * projection stages parts, and columns have more of them, to the first one.
   */
  | {
      readonly kind: "combine";
      readonly layer: number;
      readonly output: ValueId;
      readonly attention: AttentionNode;
      readonly partials: PartialSums;
    }
  /** The id of the largest logit of each column: [16] i32. */
  | {
      readonly kind: "choose";
      readonly layer: null;
      readonly input: ValueId;
      readonly output: ValueId;
      readonly vocabulary: number;
    };
