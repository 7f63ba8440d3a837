import { open } from "node:fs/promises";
import type { WeightSource } from "./ir.js";
import { packRows } from "./pack/matrix.js";
import { packPlanes } from "./pack/planes.js";
import type { Weights } from "./read/weights.js";
import { packedBytes, sourceBytes, tileRows } from "./schedule/layout.js";
import type { Packed } from "./selfcheck-layers.js";

/**
 * Compares a few tiles of every stored matrix in a finished bundle with the rows that they are made from, the first
 * and the last among them: every matrix is where the programs read it. Returns how many tiles were compared; throws
 * (a defect of gsic) if one differs.
 */
export async function compareTiles(
  packed: Packed,
  weights: Weights,
  progress: (done: number, total: number) => void = () => {},
): Promise<number> {
  const { device, items } = packed.weights;
  const file = await open(packed.bundle, "r");
  let compared = 0;
  try {
    for (const [index, { content, offset }] of items.entries()) {
      progress(index, items.length);
      if (content.kind !== "matrix") continue;
      let begin = packed.begin + offset;
      for (const source of partsOf(content.source)) {
        if (source.kind === "stored") {
          const { dtype, out, d } = source.matrix;
          const tileBytes = packedBytes(device, dtype, tileRows, d);
          for (const tile of someTiles(Math.ceil(out / tileRows), index)) {
            const rows = weights.readStoredRows(
              source.matrix,
              tile * tileRows,
              Math.min(tileRows, out - tile * tileRows),
            );
            const expected = (device === "cpu" ? packRows : packPlanes)(dtype, d, rows);
            const found = Buffer.alloc(tileBytes);
            await file.read(found, 0, tileBytes, begin + tile * tileBytes);
            if (!found.equals(expected))
              throw new Error(
                `self-check failed: tile ${tile} of ${source.matrix.tensor} is not what is stored`,
              );
            compared++;
          }
        }
        begin += sourceBytes(device, source);
      }
    }
  } finally {
    await file.close();
  }
  return compared;
}

/** The matrices of a stack, in order. */
function partsOf(source: WeightSource): readonly WeightSource[] {
  return source.kind === "stacked" ? source.parts.flatMap(partsOf) : [source];
}

/** The first tile, the last, and one between them that depends on the matrix. */
function someTiles(count: number, seed: number): ReadonlySet<number> {
  return new Set([0, (seed * 7919 + 13) % count, count - 1]);
}
