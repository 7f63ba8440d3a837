import type { ElementType } from "../ir/graph.js";
import type { QuantizedSource } from "../ir/steps.js";
import type { QuantizedLinear } from "./quantizer.js";

/** What the sizes of a matrix at few bits follow from. */
type QuantizedShape = Pick<QuantizedSource, "out" | "d" | "quantizer" | "rank">;

/** How the kernels of a kind of device read matrices: sizes, and bytes. */
export interface MatrixLayout {
  /** Rows of a tile of a stored type. */
  rowsOfTile(type: ElementType): number;
  /** Rows of a run that is packed by itself: a packed matrix is its runs, one after another. */
  runRows(type: ElementType, d: number): number;
  /** Bytes of a matrix of a stored type. */
  packedBytes(type: ElementType, out: number, d: number): number;
  /**
   * Packs whole rows as they are stored; all but a matrix's last ones are whole runs. The result lies at the front of
   * `buffer` where that is given and large enough, else in new memory.
   */
  packMatrix(type: ElementType, d: number, rows: Uint8Array, buffer?: Uint8Array): Uint8Array;
  /** Bytes of a matrix at few bits, with its low-rank factor. */
  quantizedBytes(shape: QuantizedShape): number;
  /** Packs a matrix at few bits, piece by piece. */
  packQuantized(shape: QuantizedShape, content: QuantizedLinear): Generator<Uint8Array>;
}
