import type { GpuTemplateParams } from "../../templates/gpu-params.js";
import type { Common, TemplateParams } from "../../templates/params.js";
import type { RopeNode, ValueId, VectorRef } from "../ir/graph.js";
import type { Core, LaunchShape } from "../ir/program.js";
import type { ScreenSource, WeightSource } from "../ir/steps.js";
import { typeText } from "../layout/shape.js";
import { strideOf } from "../layout/stride.js";

/** What a launch argument refers to, before memory is laid out. */
export type Operand =
  | { readonly kind: "step" }
  | { readonly kind: "value"; readonly id: ValueId }
  | { readonly kind: "weight"; readonly source: WeightSource }
  | { readonly kind: "screen"; readonly source: ScreenSource }
  | { readonly kind: "vector"; readonly vector: VectorRef }
  | { readonly kind: "biases"; readonly parts: readonly BiasPart[] }
  | { readonly kind: "rope"; readonly rope: RopeNode }
  | CacheOperand
  /** `gate` is its name. */
  | { readonly kind: "counter"; readonly gate: string };

/** A layer's keys or values; `forDrafts`: as the program that drafts reads them, where that is another type. */
export interface CacheOperand {
  readonly kind: "cache";
  readonly layer: number;
  readonly part: "keys" | "values";
  readonly forDrafts?: boolean;
}

/** A part of biases that lie one after another; null: zeros. */
export interface BiasPart {
  readonly vector: VectorRef | null;
  readonly length: number;
}

/** What a kernel does with an argument; `update`: it reads and writes it. */
export type Access = "read" | "write" | "update";

/** Which matrix of a linear computes one of its tiers. */
export type TierMatrix = "image" | "quantized" | "weight";

/** The linears whose rows a matrix holds, one below the other, for one of their tiers. */
export interface LinearRows {
  readonly tier: TierMatrix;
  readonly linears: readonly ValueId[];
}

/** One argument of a kernel before memory is laid out; its index in `Operands.slots` is the slot that templates name. */
export interface OperandSlot {
  readonly name: string;
  readonly type: string;
  readonly operand: Operand;
  readonly access: Access;
  /** Null of tables, of factors that linears share, and of all that is no matrix. */
  readonly rows: LinearRows | null;
}

/** A template of one folder with its parameters (all but the symbol), and what the launch passes to it. */
type CallOf<Params extends { readonly [Name in keyof Params]: Common }> = {
  [Name in keyof Params & string]: {
    readonly template: Name;
    /** Proposed symbol; launches with equal parameters share a kernel. */
    readonly symbol: string;
    readonly params: Omit<Params[Name], "symbol">;
    readonly operands: readonly OperandSlot[];
  };
}[keyof Params & string];

/** A kernel of a CPU. */
export type CpuKernelCall = CallOf<TemplateParams> & {
  readonly launch: null;
  readonly from?: undefined;
  readonly alone?: undefined;
  readonly cores: readonly Core[];
};
/** A kernel of a GPU. */
export type GpuKernelCall = CallOf<GpuTemplateParams> & {
  readonly launch: LaunchShape;
  /** As `Launch.from`, and as `Launch.alone`. */
  readonly from?: number;
  readonly alone?: boolean;
  readonly cores?: undefined;
};

/** A kernel as an emitter hands it to its template, for either kind of device. */
export type KernelCall = CpuKernelCall | GpuKernelCall;

/** Collects the operands of a kernel; `add` gives the slot. The step is always slot 0. */
export class Operands {
  readonly slots: OperandSlot[] = [
    { name: "step", type: "gsic_step", operand: { kind: "step" }, access: "read", rows: null },
  ];

  add(
    name: string,
    type: string,
    operand: Operand,
    access: Access = "read",
    rows: LinearRows | null = null,
  ): number {
    this.slots.push({ name, type, operand, access, rows });
    return this.slots.length - 1;
  }

  value(name: string, id: ValueId, access: Access): number {
    return this.add(name, "float", { kind: "value", id }, access);
  }

  weight(name: string, source: WeightSource, rows: LinearRows | null): number {
    return this.add(name, `packed ${typeText(source)}`, { kind: "weight", source }, "read", rows);
  }

  bias(name: string, vector: VectorRef | null): number | null {
    return vector === null ? null : this.add(name, "float", { kind: "vector", vector });
  }
}

/** The line of a kernel's byte account. */
export function bytesRead(bytes: number): string {
  return `reads ${bytes} bytes of weights per token`;
}

/** Whether a value of that width has floats behind its width that its kernel must zero. */
export function isPadded(width: number): boolean {
  return strideOf(width) !== width;
}
