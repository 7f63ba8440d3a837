import { blockSizes, type DType } from "../ir/graph.js";
import type { GsicError } from "../support/errors.js";
import { dequantize } from "./dequantize.js";
import { badInput } from "./file.js";
import { type QuantizedMatrix, runsOf } from "./quantized-matrix.js";
import type { RawTensorInfo } from "./safetensors-header.js";
import { placeOf } from "./sizes.js";

/** Reads all bytes of a stored tensor. */
export type ReadTensor = (info: RawTensorInfo) => Uint8Array;

/** A matrix [out, d] that a checkpoint stores as several tensors. */
export interface QuantizedTensor {
  readonly out: number;
  readonly d: number;
  /** One of few bits where groups of weights fill whole blocks of it, else f32. */
  readonly dtype: DType;
  /** Why `dtype` is f32, where it is. */
  readonly widened?: string;
  /** The input of each column, where columns are not in the inputs' order. */
  readonly order?: Int32Array;
  readonly unpack: (read: ReadTensor) => QuantizedMatrix;
}

/** The tensors of one linear, by what stands behind its name and a dot. */
export class StoredLinear {
  constructor(
    readonly name: string,
    readonly parts: ReadonlyMap<string, RawTensorInfo>,
    private readonly source: string,
  ) {}

  has(part: string): boolean {
    return this.parts.has(part);
  }

  /** A part of one of these types with so many dimensions. Throws `quantized-tensor`. */
  part(part: string, types: readonly string[], dimensions: readonly number[]): RawTensorInfo {
    const info = this.parts.get(part);
    if (info === undefined) {
      throw badInput(
        "quantized-tensor",
        `${this.name}.${part} is missing beside ${[...this.parts.keys()].join(", ")}`,
        this.source,
        "fetch the checkpoint again; it may lack a shard, or be of another format than its config.json says",
      );
    }
    if (!types.includes(info.dtype) || !dimensions.includes(info.shape.length)) {
      throw this.wrong(info, `${types.join(" or ")} of ${dimensions.join(" or ")} dimensions is needed`);
    }
    return info;
  }

  /** Throws unless the part has this shape. */
  expect(info: RawTensorInfo, shape: readonly number[]): void {
    if (info.shape.join() !== shape.join()) throw this.wrong(info, `[${shape.join(", ")}] is needed`);
  }

  wrong(info: RawTensorInfo, needed: string): GsicError {
    return badInput(
      "quantized-tensor",
      `the tensor is ${info.dtype} [${info.shape.join(", ")}], but ${needed}`,
      placeOf({ file: info.file, tensor: info.name }),
      "quantization_config of config.json may be of another checkpoint than the weights",
    );
  }
}

/** Types of scales, as safetensors names them. */
export const scaleTypes = ["F16", "BF16", "F32", "F8_E8M0"] as const;

/** A stored tensor of one of `scaleTypes` as f32. */
export function floatsOf(info: RawTensorInfo, read: ReadTensor): Float32Array {
  const elements = info.shape.reduce((product, length) => product * length, 1);
  // Eight bits of an exponent with bias 127.
  if (info.dtype === "F8_E8M0") return Float32Array.from(read(info), (exponent) => 2 ** (exponent - 127));
  const type = info.dtype.toLowerCase() as "f16" | "bf16" | "f32";
  return dequantize(type, read(info), elements);
}

/** A stored tensor of I32 as words. */
export function wordsOf(info: RawTensorInfo, read: ReadTensor): Uint32Array {
  const bytes = read(info);
  return new Uint32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / 4);
}

/** Inputs of a group where `groups` scales stand for d inputs; a size that the configuration names counts first. */
export function groupSize(d: number, groups: number, named: readonly number[]): number | undefined {
  const fitting = named.find((size) => size > 0 && Math.ceil(d / size) === groups);
  return fitting ?? (groups > 0 && d % groups === 0 ? d / groups : undefined);
}

/** What a linear's weights are, and which of them share a scale. */
interface StoredElements {
  readonly of: "integers" | "e4m3" | "nf4" | "fp4";
  readonly bits: number;
  readonly d: number;
  /** Inputs in a row that share a scale. */
  readonly size: number;
  readonly scales: RawTensorInfo;
}

/** How a linear is kept in memory: a type of few bits; or f32, and why. */
type Kept = Pick<QuantizedTensor, "dtype" | "widened">;

/**
 * The type in which weights keep their few bits in memory. f32 where rows or groups are no multiple of 32, or 64 of NF4 and
 * FP4, and where integers have scales of 32 bits, which leave no room for a zero point beside them.
 */
export function memoryType({ of, bits, d, size, scales }: StoredElements): Kept {
  const fills = (length: number) => d % length === 0 && (size >= d || size % length === 0);
  const isTable = of === "nf4" || of === "fp4";
  const least = isTable ? blockSizes[of].elements : 32;
  if (!fills(least))
    return widened(`${d % least === 0 ? `groups of ${size}` : d} inputs are no multiple of ${least}`);
  if (isTable) return { dtype: of };
  if (of === "e4m3") return { dtype: fills(128) ? "f8_128" : "f8" };
  if (scales.dtype === "F32") return widened("scales of integers have 32 bits");
  return { dtype: bits === 8 ? "i8" : fills(128) ? "i4_128" : "i4" };
}

/** f32, for this reason. */
export function widened(why: string): Kept {
  return { dtype: "f32", widened: why };
}

/** The tensor [d] I32 that says each input's group, or nothing where there is none or groups are runs of `size`. */
export function orderOf(
  linear: StoredLinear,
  part: string,
  size: number,
  read: ReadTensor,
): RawTensorInfo | undefined {
  if (!linear.has(part)) return undefined;
  const info = linear.part(part, ["I32"], [1]);
  return wordsOf(info, read).every((group, input) => group === Math.floor(input / size)) ? undefined : info;
}

/** A linear of groups of inputs, and the tensor that says each input's group where these are no runs. */
interface Grouped {
  readonly tensor: QuantizedTensor;
  readonly groups: number;
  /** Inputs of a group. */
  readonly size: number;
  readonly index: Uint32Array | undefined;
}

/**
 * A linear with its columns group by group, where its groups are no runs of inputs; in f32 where they are not equally large,
 * but for a smaller last one.
 */
export function inGroups({ tensor, groups, size, index }: Grouped): QuantizedTensor {
  if (index === undefined || tensor.dtype === "f32") return tensor;
  const columns = Array.from({ length: groups }, (): number[] => []);
  for (const [input, group] of index.entries()) columns[group]?.push(input);
  if (columns.some(({ length }, group) => length !== Math.min(size, tensor.d - group * size)))
    return { ...tensor, ...widened("groups of its inputs are not equally large") };
  const order = Int32Array.from(columns.flat());
  return {
    ...tensor,
    order,
    unpack: (read) => {
      const matrix = tensor.unpack(read);
      const codes = matrix.codes.map((_, at) => {
        const column = at % tensor.d;
        return matrix.codes[at - column + order[column]!]!;
      });
      return { ...matrix, codes, groupOf: runsOf(tensor.d, size) };
    },
  };
}

/** Rows of columns in an order of their own, in that of the inputs. */
export function inputOrder(values: Float32Array, order: Int32Array): Float32Array {
  const d = order.length;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += d)
    for (let column = 0; column < d; column++) turned[row + order[column]!] = values[row + column]!;
  return turned;
}

/** The group of each input: runs of `size`, or what a tensor [d] I32 says. Throws `quantized-tensor`. */
export function groupsOf(
  linear: StoredLinear,
  shape: { readonly d: number; readonly groups: number; readonly size: number },
  index: RawTensorInfo | undefined,
  read: ReadTensor,
): Uint32Array {
  const { d, groups, size } = shape;
  if (index === undefined) return runsOf(d, size);
  const found = wordsOf(index, read);
  if (found.some((group) => group >= groups))
    throw linear.wrong(index, `groups 0 to ${groups - 1} are needed`);
  return found;
}
