import type { OnnxNode } from "../../read/onnx.js";
import { isWhole, type OnnxTensor, tensorNumbers } from "../../read/onnx-tensor.js";
import type { Bases } from "./bases.js";
import { gathered, pickData, transposed } from "./layout.js";
import { type Data, data, type MaskSource, type Stored, Unmatched, type Value } from "./value.js";

/** What handlers of operators share while a graph is read. */
export interface Trace {
  readonly bases: Bases;
  /** The window that a mask has, by the names of the values that it was made of. */
  readonly windowOf: (masks: readonly MaskSource[], seen: Uint8Array) => number | null;
  /** Rows of tables that positions were looked up in: the longest text that the graph knows. */
  readonly positions: number[];
}

/** One node with the values that it reads. */
export class Call {
  constructor(
    readonly node: OnnxNode,
    readonly inputs: readonly (Value | null)[],
    readonly trace: Trace,
  ) {}

  /** An input; throws where it is left out. */
  input(index: number): Value {
    const value = this.inputs[index] ?? null;
    if (value === null) throw new Unmatched(`lacks its input ${index}`);
    return value;
  }

  has(index: number): boolean {
    return (this.inputs[index] ?? null) !== null;
  }

  /** An input as numbers; throws where it depends on more than shapes, positions and constants. */
  numbers(index: number): Data {
    return numbersOf(this.input(index));
  }

  /** The numbers of an input, or of the attribute that stood for it in earlier versions; null where there is neither. */
  list(index: number, attribute: string): readonly number[] | null {
    if (this.has(index)) return [...this.numbers(index).values];
    const value = this.node.attributes.get(attribute);
    return Array.isArray(value) ? (value as readonly number[]) : null;
  }

  number(attribute: string, fallback: number): number {
    const value = this.node.attributes.get(attribute) ?? fallback;
    if (typeof value !== "number") throw new Unmatched(`has no number as its attribute ${attribute}`);
    return value;
  }

  text(attribute: string, fallback: string): string {
    const value = this.node.attributes.get(attribute) ?? fallback;
    if (typeof value !== "string") throw new Unmatched(`has no text as its attribute ${attribute}`);
    return value;
  }

  tensor(attribute: string): OnnxTensor | null {
    const value = this.node.attributes.get(attribute);
    return typeof value === "object" && !Array.isArray(value) ? (value as OnnxTensor) : null;
  }

  /** An axis of a shape of so many dimensions, counted from 0. */
  axis(value: number, rank: number): number {
    const axis = value < 0 ? value + rank : value;
    if (!(Number.isInteger(axis) && axis >= 0 && axis < rank))
      throw new Unmatched(`has the axis ${value} of ${rank}`);
    return axis;
  }
}

/** A tensor as a value whose elements are not read yet. */
export function stored(tensor: OnnxTensor): Stored {
  return { kind: "stored", tensor, shape: tensor.shape, transposed: false, plus: 0 };
}

/** Numbers of constants that were read: tables of angles are asked for in every layer. */
const known = new WeakMap<OnnxTensor, Data>();

/** The numbers of a constant. */
export function tensorData(tensor: OnnxTensor): Data {
  const whole = tensor.element !== null && isWhole(tensor.element);
  const made = known.get(tensor) ?? data(tensor.shape, tensorNumbers(tensor), whole);
  known.set(tensor, made);
  return made;
}

/** A value as numbers; throws where it depends on more than shapes, positions and constants. */
export function numbersOf(value: Value): Data {
  switch (value.kind) {
    case "data":
      return value;
    case "stored": {
      const own = tensorData(value.tensor);
      const plain =
        value.plus === 0
          ? own
          : data(
              own.shape,
              own.values.map((x) => x + value.plus),
              own.whole,
            );
      const turned = value.transposed ? pickData(plain, transposed(plain.shape, [1, 0])) : plain;
      return { ...turned, shape: value.shape };
    }
    case "rows": {
      const table = numbersOf(value.table);
      return { ...pickData(table, gathered(table.shape, 0, value.places)), shape: value.shape };
    }
    default:
      throw new Unmatched("needs numbers that are known before the model runs");
  }
}
