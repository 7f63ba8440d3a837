/** One interface per template of `templates/gpu`: what params.ts is for CPUs. Operands are named, not numbered. */
import type { Common } from "./params.js";

/** A parameter of the kernel, by its C++ name. */
export type Name = string;

/** What every GPU kernel has. */
export interface GpuCommon extends Common {
  /** The kernel's parameter list. */
  readonly parameters: string;
  /** Waves of a workgroup. */
  readonly waves: number;
}

/** y [columns, width]: the sum of one row of each table, times its scale. */
interface GpuEmbedParams extends GpuCommon {
  readonly width: number;
  /** Elements that a lane writes: the longest unit of the tables. */
  readonly elements: number;
  readonly tables: readonly {
    readonly name: Name;
    readonly type: string;
    readonly out: number;
    readonly d: number;
    /** A C++ float literal; null: 1. */
    readonly scale: string | null;
    /** C++ expression that gives the row for `column`. */
    readonly index: string;
  }[];
}

interface Norm {
  readonly layer: boolean;
  /** Parameter, or nullptr. */
  readonly bias: Name;
  /** A C++ float literal. */
  readonly epsilon: string;
}

/** A norm on the way in. */
interface FusedNorm extends Norm {
  /** Whether all columns are measured at once; else the gate measures those that it needs, or what is `ahead` does. */
  readonly ofAll: boolean;
}

/** y = norm(x) + residual by LayerNorm (`layer`) or RMSNorm, [columns, width]; a workgroup takes a column. */
interface GpuNormParams extends GpuCommon, Norm {
  readonly width: number;
  readonly residual: Name | null;
}

/** What says how much of a column a kernel holds that has its first product's weights on their way before it measures. */
interface Ahead {
  /** The kernel's parameters, between commas. */
  readonly names: string;
  readonly type: string;
  readonly splits: number;
  /** Whether the kernel has no other product. */
  readonly only: boolean;
}

/** Where a kernel has the products of its input with factors: B^T x, V^T x, S x. */
interface Factors {
  /** Floats of a column. */
  readonly width: number;
  /** Whether each workgroup computes them for itself; else an earlier launch has. */
  readonly own: boolean;
  /** Parameter, or nullptr where no gate decides; null where they are the workgroup's own. */
  readonly squares: Name | null;
  /** Whether each workgroup computes ||x||^2 as well. */
  readonly measures: boolean;
}

/** What a kernel multiplies its input by before it knows the tier. */
interface Factor {
  /** Waves that share a tile where each workgroup computes it for itself; else null. */
  readonly splits: number | null;
}

interface FusedGate extends Factor {
  /** Parameter, or nullptr where another launch counts for the same input. */
  readonly counters: Name;
  readonly k: number;
  /** First element of the products. */
  readonly begin: number;
  /** A C++ double literal. */
  readonly epsilon: string;
  /** Whether the columns that are not closed are measured for the norm then. */
  readonly measures: boolean;
}

interface FusedErrorGate extends Factor {
  /** Parameter, or nullptr. */
  readonly counters: Name;
  /** C++ type of the weights of S. */
  readonly type: string;
  /** Rows of S. */
  readonly out: number;
  readonly begin: number;
  /** C++ name of the columns that it decides. */
  readonly columns: string;
  /** A C++ double literal. */
  readonly threshold: string;
}

interface FusedCorrection extends Factor {
  /** C++ type of the weights of B^T. */
  readonly type: string;
  readonly rank: number;
  /** C++ name of the columns that take it. */
  readonly columns: string;
}

interface GpuProjection extends GpuCommon {
  /** Width of the input. */
  readonly d: number;
  readonly activation: string;
  /** C++ type of the input as it is read. */
  readonly inputType: string;
  readonly norm: FusedNorm | null;
  /** Null where what is multiplied depends on gates or a correction. */
  readonly ahead: Ahead | null;
  readonly factors: Factors | null;
  readonly gate: FusedGate | null;
  readonly exact: FusedErrorGate | null;
  readonly correction: FusedCorrection | null;
  /** Whether there is a gate, or the kernel makes what one needs. */
  readonly decides: boolean;
  /** Bytes of LDS for staged columns. */
  readonly stageBytes: number;
}

interface GpuProduct {
  readonly tier: string | null;
  readonly out: number;
  readonly d: number;
  /** Columns of the low-rank factor; null without one. */
  readonly rank: number | null;
  /** Waves that share a tile. */
  readonly splits: number;
  /** C++ names of the columns and of the source multiplied. */
  readonly columns: string;
  readonly input: string;
  /** Whether its first weights are on their way before the input is measured. */
  readonly begun: boolean;
}

/** y = f(W x + b) + residual, for all linears that read one value; `column` to `last` are the rows of one of them. */
interface GpuProjectParams extends GpuProjection {
  /** Width of the output. */
  readonly width: number;
  /** C++ function of the columns that are computed. */
  readonly select: "all_columns" | "wanted_columns";
  readonly residual: Name | null;
  /** Receives the squared norms of the input; a basis only. */
  readonly squares: Name | null;
  readonly products: readonly (GpuProduct & {
    readonly type: string;
    readonly column: number;
    readonly last: number;
    readonly weight: Name;
    readonly bias: Name | null;
  })[];
}

/** y = f(W_gate x + b_gate) * (W_up x + b_up), both read in one product a tier. */
interface GpuGluParams extends GpuProjection {
  readonly products: readonly (GpuProduct & {
    readonly gateType: string;
    readonly upType: string;
    readonly gateWeight: Name;
    readonly upWeight: Name;
    readonly gateBias: Name | null;
    readonly upBias: Name | null;
  })[];
}

/** How a GPU's cache keeps numbers. */
export type GpuCacheElement = "CacheF32" | "CacheF16";

/** How attention cuts positions into parts, and what it leaves of them. */
interface GpuParts {
  readonly heads: number;
  readonly headDim: number;
  /** Positions of a part. */
  readonly part: number;
  /** Positions that a query sees. */
  readonly window: number;
  /** Parts that a query sees, at most. */
  readonly parts: number;
  /** Parts that the projection behind attention adds up, at most; 0: none. */
  readonly staged: number;
  /** What receives results: a parameter, or nullptr where that projection makes them of parts. */
  readonly y: Name;
}

/** softmax(scale q K^T) V by head; norms and rotates queries and keys, and appends the pass's keys and values to the cache. */
interface GpuAttendParams extends GpuCommon, GpuParts {
  readonly kvHeads: number;
  /** Query heads that a workgroup takes, all with one head of keys and values. */
  readonly together: number;
  /** Positions of a block of the cache. */
  readonly block: number;
  /** How the cache keeps numbers, as templates/include/gsic/gpu/attention_shape.h calls it. */
  readonly element: GpuCacheElement;
  /** How drafts keep them, where keys and values are put there, too. */
  readonly drafts: GpuCacheElement | null;
  readonly sourceWidth: number;
  readonly queryColumn: number;
  readonly keyColumn: number;
  readonly valueColumn: number;
  /** Parameter, or nullptr where a query sees one part at most. */
  readonly partials: Name;
  /** A C++ float literal. */
  readonly scale: string;
  /** C++ float literals; null without norms of heads. */
  readonly norms: { readonly queryEpsilon: string; readonly keyEpsilon: string } | null;
  readonly rotary: { readonly dim: number; readonly pairing: "half" | "adjacent" } | null;
}

/** Adds up what attention left of the parts of columns that see several. */
interface GpuCombineParams extends GpuCommon, GpuParts {}

/** The arg-max of each wanted column's logits: the lowest id among equals, -1 where a logit is not finite. */
interface GpuChooseParams extends GpuCommon {
  readonly vocabulary: number;
}

/** Reads memory and does nothing else; no program launches it. */
export interface GpuReadParams extends GpuCommon {
  /** Loads of 16 bytes that a lane has in flight. */
  readonly depth: number;
}

/** The templates by name; `templates/gpu/<name>.hbs`. */
export interface GpuTemplateParams {
  readonly embed: GpuEmbedParams;
  readonly norm: GpuNormParams;
  readonly project: GpuProjectParams;
  readonly glu: GpuGluParams;
  readonly attend: GpuAttendParams;
  readonly combine: GpuCombineParams;
  readonly choose: GpuChooseParams;
  readonly read: GpuReadParams;
}
