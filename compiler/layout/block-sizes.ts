import { blockSizes, type DType } from "../ir/graph.js";

/** Types whose rows a CPU's kernels read in blocks with scales: all of GGUF's. */
export type BlockType = Exclude<DType, "f32" | "f16" | "bf16">;

/** Rows of a tile of blocks; `kBlockRows` in templates/include/gsic/blocks.h. */
export const blockRows = 16;
/** Elements of a row in a step. */
export const stepElements = 32;

interface BlockScales {
  /** Bits of an element in the planes. */
  readonly bits: 4 | 5 | 6 | 8;
  /** Bytes of a row's scales in front of a superblock, which is what the file calls a block. */
  readonly header: number;
  /** Bytes of a row's scales in front of each step of 32 elements. */
  readonly step: number;
}

/** As templates/include/gsic/blocks.h reads them. */
const scales: Readonly<Record<BlockType, BlockScales>> = {
  q4_0: { bits: 4, header: 2, step: 0 },
  q4_1: { bits: 4, header: 4, step: 0 },
  q5_0: { bits: 5, header: 2, step: 0 },
  q5_1: { bits: 5, header: 4, step: 0 },
  q8_0: { bits: 8, header: 2, step: 0 },
  q4_k: { bits: 4, header: 4, step: 2 },
  q5_k: { bits: 5, header: 4, step: 2 },
  q6_k: { bits: 6, header: 2, step: 2 },
};

/** Whether a CPU's kernels read the type in blocks. */
export function isBlockType(dtype: DType): dtype is BlockType {
  return dtype in scales;
}

/** Byte offsets and sizes in a tile of sixteen rows. */
export function blockTile(dtype: BlockType, d: number) {
  const { bits, header, step } = scales[dtype];
  const steps = blockSizes[dtype].elements / stepElements;
  const headerBytes = header * blockRows;
  const scaleBytes = step * blockRows;
  const stepBytes = scaleBytes + (blockRows * stepElements * bits) / 8;
  const superBytes = headerBytes + steps * stepBytes;
  return {
    bits,
    steps,
    headerBytes,
    scaleBytes,
    stepBytes,
    superBytes,
    bytes: (d / blockSizes[dtype].elements) * superBytes,
  };
}
