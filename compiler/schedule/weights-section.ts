import type { BiasPart, Operand } from "../emit/operands.js";
import {
  blockSizes,
  type DeviceKind,
  type DType,
  type RopeNode,
  type ValueId,
  type VectorRef,
  type WeightSource,
} from "../ir/graph.js";
import { blockRows, blockTile, isBlockType } from "../layout/block-sizes.js";
import { tilePlanes } from "../layout/plane-sizes.js";
import { quantizedBytes } from "../layout/quantized-sizes.js";
import { shapeOf } from "../layout/shape.js";
import { strideOf } from "../layout/stride.js";

/** Rows of a tile of floats, and of any tile of a GPU; `kTileRows` in templates/include/gsic/tiles.h and gpu/weights.h. */
export const tileRows = 4;
/** Most columns of a pass; GSIC_MAX_COLUMNS in templates/include/gsic/abi.h. */
export const maxColumns = 16;
const alignment = 64;

/** Something in the weights section, and where it lies. */
export interface WeightItem {
  readonly content:
    | { readonly kind: "matrix"; readonly source: WeightSource }
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

/** Bytes of a matrix as a device's kernels read it. */
export function packedBytes(device: DeviceKind, dtype: DType, out: number, d: number): number {
  const tiles = Math.ceil(out / rowsOfTile(device, dtype));
  if (device !== "cpu") return tiles * tilePlanes(dtype, d).bytes;
  return isBlockType(dtype) ? tiles * blockTile(dtype, d).bytes : packing(dtype, out, d).bytes;
}

/** Rows of a tile of a stored type. */
export function rowsOfTile(device: DeviceKind, dtype: DType): number {
  return device === "cpu" && isBlockType(dtype) ? blockRows : tileRows;
}

/** Bytes of any matrix of the bundle as a device's kernels read it. */
export function sourceBytes(device: DeviceKind, source: WeightSource): number {
  if ("quantizer" in source) return quantizedBytes(device, source);
  const { dtype, out, d } = shapeOf(source);
  return packedBytes(device, dtype, out, d);
}

/** Most elements of a segment, and tiles of a group; `kSegment` and `kTileGroup` in tiles.h. */
const segmentElements = 576;
const groupTiles = 32;

/**
 * How a CPU's matrix of floats is packed: tiles of four rows, in blocks of 32 elements; in groups of tiles and segments
 * of blocks where d is long, as templates/include/gsic/tiles.h describes.
 */
export function packing(dtype: DType, out: number, d: number) {
  const blockElements = 32;
  const blockBytes = blockElements * blockSizes[dtype].bytes;
  const blocks = Math.ceil(d / blockElements);
  const tiles = Math.ceil(out / tileRows);
  const segments = Math.ceil(d / segmentElements);
  return {
    blockElements,
    blockBytes,
    blocks,
    tiles,
    bytes: tiles * tileRows * blocks * blockBytes,
    segmentBlocks: Math.ceil(blocks / segments),
    groupTiles: segments === 1 ? 1 : groupTiles,
  };
}

/** Rows of a run that is packed by itself: what a device's kernels read of a matrix is its runs, one after another. */
export function runRows(device: DeviceKind, dtype: DType, d: number): number {
  const tile = rowsOfTile(device, dtype);
  return device === "cpu" && !isBlockType(dtype) ? packing(dtype, 0, d).groupTiles * tile : tile;
}

/** Rows of a run of any matrix. */
export const mostRunRows = groupTiles * tileRows;

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
  place(operand: Extract<Operand, { kind: "weight" | "vector" | "biases" | "rope" }>): number {
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

  private itemOf(
    operand: Extract<Operand, { kind: "weight" | "vector" | "biases" | "rope" }>,
    offset: number,
  ): WeightItem {
    switch (operand.kind) {
      case "weight": {
        const { source } = operand;
        return { content: { kind: "matrix", source }, offset, bytes: sourceBytes(this.device, source) };
      }
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
function keyOf(operand: Extract<Operand, { kind: "weight" | "vector" | "biases" | "rope" }>): string {
  switch (operand.kind) {
    case "weight":
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

/** When a value is first written and last read, as launch numbers. */
interface Lifetime {
  readonly id: ValueId;
  readonly width: number;
  first: number;
  last: number;
}

/** Places values in the arena so that two overlap only if their lifetimes do not. First fit, in order of birth. */
export function placeValues(launches: readonly { readonly values: ReadonlyMap<ValueId, number> }[]) {
  const lifetimes = new Map<ValueId, Lifetime>();
  launches.forEach(({ values }, number) => {
    for (const [id, width] of values) {
      const known = lifetimes.get(id);
      if (known === undefined) lifetimes.set(id, { id, width, first: number, last: number });
      else known.last = number;
    }
  });
  const placed: (Lifetime & { offset: number; bytes: number })[] = [];
  for (const lifetime of [...lifetimes.values()].sort((a, b) => a.first - b.first)) {
    const bytes = maxColumns * strideOf(lifetime.width) * 4;
    const alive = placed
      .filter((other) => other.last >= lifetime.first && other.first <= lifetime.last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const other of alive) {
      if (offset + bytes <= other.offset) break;
      offset = Math.max(offset, other.offset + other.bytes);
    }
    placed.push({ ...lifetime, offset, bytes });
  }
  const offsets = new Map(placed.map(({ id, offset }) => [id, offset]));
  const bytes = placed.reduce((most, { offset, bytes: size }) => Math.max(most, offset + size), alignment);
  return { offsets, bytes };
}

export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
