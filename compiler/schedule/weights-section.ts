import type { BiasPart, Operand } from "../emit/operands.js";
import type { RopeNode, VectorRef } from "../ir/graph.js";
import type { DeviceKind } from "../ir/program.js";
import type { ScreenSource, WeightSource } from "../ir/steps.js";
import { sourceBytes } from "../layout/matrix.js";
import { screenLayout } from "../layout/screen.js";
import { alignment, roundUp, strideOf } from "../layout/stride.js";

/** Something in the weights section, and where it lies. */
export interface WeightItem {
  readonly content:
    | { readonly kind: "matrix"; readonly source: WeightSource }
    | { readonly kind: "screen"; readonly source: ScreenSource }
    | { readonly kind: "vector"; readonly vector: VectorRef }
    | { readonly kind: "biases"; readonly parts: readonly BiasPart[] }
    | { readonly kind: "rope"; readonly rope: RopeNode };
  readonly offset: number;
  readonly bytes: number;
}

/** The weights section, laid out for a device. */
export interface PackedWeights {
  readonly device: DeviceKind;
  readonly items: readonly WeightItem[];
  readonly bytes: number;
}

/** Operands that lie in the weights section. */
type PlacedKind = "weight" | "screen" | "vector" | "biases" | "rope";

/** Lays out the weights section: every distinct matrix, vector and table once. */
export class WeightLayout implements PackedWeights {
  readonly items: WeightItem[] = [];
  private readonly offsets = new Map<string, number>();
  private readonly sizes = new Map<number, number>();
  private end = 0;

  constructor(
    readonly device: DeviceKind,
    private readonly context: number,
  ) {}

  get bytes(): number {
    return this.end;
  }

  /** The offset of an operand's data; it is placed when first asked for. */
  place(operand: Extract<Operand, { kind: PlacedKind }>): number {
    const key = keyOf(operand);
    const known = this.offsets.get(key);
    if (known !== undefined) return known;
    const offset = roundUp(this.end, alignment);
    const item = this.itemOf(operand, offset);
    this.items.push(item);
    this.sizes.set(offset, item.bytes);
    this.offsets.set(key, offset);
    this.end = offset + item.bytes;
    return offset;
  }

  /** Bytes of what begins at an offset. */
  bytesAt(offset: number): number {
    return this.sizes.get(offset)!;
  }

  private itemOf(operand: Extract<Operand, { kind: PlacedKind }>, offset: number): WeightItem {
    switch (operand.kind) {
      case "weight": {
        const { source } = operand;
        return { content: { kind: "matrix", source }, offset, bytes: sourceBytes(this.device, source) };
      }
      case "screen":
        return { content: operand, offset, bytes: screenLayout(operand.source.matrix).bytes };
      case "vector":
        return { content: operand, offset, bytes: 4 * strideOf(operand.vector.length) };
      case "biases":
        return { content: operand, offset, bytes: 4 * strideOf(biasLength(operand.parts)) };
      case "rope":
        return { content: operand, offset, bytes: 4 * this.context * operand.rope.rotaryDim };
      default:
        return operand satisfies never;
    }
  }
}

/** Elements of biases one after another. */
export function biasLength(parts: readonly BiasPart[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** One key for equal contents. */
function keyOf(operand: Extract<Operand, { kind: PlacedKind }>): string {
  switch (operand.kind) {
    case "weight":
    case "screen":
      return JSON.stringify(operand.source);
    case "vector":
      return JSON.stringify(operand.vector);
    case "biases":
      return JSON.stringify(operand.parts);
    case "rope": {
      const { rotaryDim, theta, scaling } = operand.rope;
      return JSON.stringify({ rotaryDim, theta, scaling });
    }
    default:
      return operand satisfies never;
  }
}
