/**
 * One interface per template: the only contract between the compiler and the templates. Templates select, C++
 * computes: every number here ends up as a constant of the emitted source, every `Slot` as an index into the
 * kernel's arguments.
 */

/** Index of an argument; 0 is always the step. */
export type Slot = number;

/** What every template begins with. */
export interface Common {
  readonly symbol: string;
  /** The maths in one line. */
  readonly summary: string;
  readonly shape: string;
  /** Bytes of weights that one token reads here. */
  readonly account: string;
}

/** y [columns, width]: the sum of one row of each table, times its scale. */
interface EmbedParams extends Common {
  readonly width: number;
  readonly tables: readonly {
    readonly type: string;
    readonly out: number;
    readonly d: number;
    readonly argument: Slot;
    /** A C++ float literal; null where rows are taken as they are. */
    readonly scale: string | null;
    /** C++ expression that gives the row for `column`. */
    readonly index: string;
  }[];
}

/** y = norm(x) + residual by LayerNorm (`layer`) or RMSNorm, [columns, width]. */
interface NormParams extends Common {
  readonly width: number;
  readonly layer: boolean;
  readonly bias: Slot | null;
  readonly residual: Slot | null;
  /** A C++ float literal. */
  readonly epsilon: string;
}

/** The subspace gate: closed where ||x - V g|| / ||x|| < epsilon, with g = V^T x and V^T [k, d] in f16. */
interface GateParams {
  readonly coordinates: Slot;
  readonly basis: Slot;
  /** Null where another launch counts for the same input. */
  readonly counters: Slot | null;
  readonly k: number;
  readonly d: number;
  /** A C++ double literal. */
  readonly epsilon: string;
}

/** The gate of the exact tier. */
export interface ErrorGateParams {
  /** C++ name of the columns that it decides about. */
  readonly columns: string;
  /** C++ type of S. */
  readonly matrix: string;
  readonly weight: Slot;
  /** Null where another launch counts for the same input. */
  readonly counters: Slot | null;
  /** A C++ double literal. */
  readonly threshold: string;
}

/** The activations as integers, for products with matrices at few bits. */
export interface IntegerParams {
  /** C++ type. */
  readonly type: string;
  /** C++ name of the columns that need them. */
  readonly columns: string;
  /** B^T. */
  readonly correction: { readonly matrix: string; readonly weight: Slot } | null;
}

/** y = f(W x + b) + residual, for all linears that read one value; `column` to `last` are the rows of one of them. */
interface ProjectParams extends Common {
  readonly width: number;
  /** True where the width is not a multiple of the stride's step. */
  readonly padded: boolean;
  /** C++ function of the columns that are computed. */
  readonly select: "all_columns" | "wanted_columns";
  readonly activation: string;
  readonly residual: Slot | null;
  readonly gate: GateParams | null;
  readonly exact: ErrorGateParams | null;
  readonly integers: IntegerParams | null;
  readonly products: readonly {
    readonly tier: string | null;
    /** C++ type. */
    readonly matrix: string;
    readonly column: number;
    readonly last: number;
    readonly weight: Slot;
    readonly bias: Slot | null;
    /** C++ names of the columns and of the value multiplied. */
    readonly columns: string;
    readonly input: string;
  }[];
}

/** y = f(W_gate x + b_gate) * (W_up x + b_up), both read in one product a tier. */
interface GluParams extends Common {
  readonly width: number;
  readonly padded: boolean;
  readonly activation: string;
  readonly gate: GateParams | null;
  readonly exact: ErrorGateParams | null;
  readonly integers: IntegerParams | null;
  readonly products: readonly {
    readonly tier: string | null;
    readonly gateMatrix: string;
    readonly upMatrix: string;
    readonly gateWeight: Slot;
    readonly upWeight: Slot;
    readonly gateBias: Slot | null;
    readonly upBias: Slot | null;
    readonly columns: string;
    readonly input: string;
  }[];
}

interface HeadShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Positions of a block of the cache. */
  readonly block: number;
}

/** RMS norm of each head. */
export interface HeadNormParams {
  readonly gain: Slot;
  /** A C++ float literal. */
  readonly epsilon: string;
}

/** Norms and rotates queries and keys where they lie, and appends keys and values to the cache. */
interface CacheParams extends Common, HeadShape {
  readonly element: CacheElement;
  readonly sourceWidth: number;
  readonly queryColumn: number;
  readonly keyColumn: number;
  readonly valueColumn: number;
  readonly norms: { readonly query: HeadNormParams; readonly key: HeadNormParams } | null;
  readonly rope: {
    readonly table: Slot;
    readonly rotaryDim: number;
    readonly pairing: "half" | "adjacent";
  } | null;
}

/** How the cache keeps numbers, as templates/include/gsic/attention.h calls it; null: f32. */
export type CacheElement = "CacheF16" | "CacheInt8" | null;

/** softmax(scale q K^T) V by head, over the positions of the cache that a query sees. */
interface AttendParams extends Common, HeadShape {
  readonly element: CacheElement;
  readonly sourceWidth: number;
  readonly queryColumn: number;
  readonly width: number;
  readonly padded: boolean;
  /** Positions that a query sees; null: all. */
  readonly window: number | null;
  /** A C++ float literal. */
  readonly scale: string;
}

/** Upper bounds y [columns, out] of W x by a copy of W at few bits, and the largest lower bound of each of its tiles. */
interface ScreenParams extends Common {
  readonly out: number;
  readonly d: number;
  readonly bits: number;
  readonly group: number;
  /** Columns that the copy keeps in eight bits. */
  readonly rank: number;
  readonly floors: Slot;
  readonly copy: Slot;
}

/** Of upper bounds y [columns, width], those of rows that may have the largest logit become W x, others the least number. */
interface RescoreParams extends Common {
  readonly width: number;
  readonly padded: boolean;
  /** C++ type. */
  readonly matrix: string;
  readonly floors: Slot;
  readonly weight: Slot;
}

/** The templates by name; `templates/<target's dialect>/<name>.hbs`. */
export interface TemplateParams {
  readonly embed: EmbedParams;
  readonly norm: NormParams;
  readonly project: ProjectParams;
  readonly glu: GluParams;
  readonly cache: CacheParams;
  readonly attend: AttendParams;
  readonly screen: ScreenParams;
  readonly rescore: RescoreParams;
}
