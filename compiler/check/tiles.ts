import { open } from "node:fs/promises";
import type { WeightSource } from "../ir/steps.js";
import { layouts } from "../layout/devices.js";
import { sourceBytes } from "../layout/matrix.js";
import type { Weights } from "../read/weights.js";
import type { Packed } from "./layers.js";

/**
 * Compares a few runs of every stored matrix in a finished bundle with the rows that they are made from, the first
 * and the last among them: every matrix is where the programs read it. Returns how many tiles were compared; throws
 * (a defect of gsic) if one differs.
 */
export async function compareTiles(
  packed: Packed,
  weights: Weights,
  progress: (done: number, total: number) => void = () => {},
): Promise<number> {
  const { device, items } = packed.weights;
  const layout = layouts[device];
  const file = await open(packed.bundle, "r");
  let compared = 0;
  try {
    for (const [index, { content, offset }] of items.entries()) {
      progress(index, items.length);
      if (content.kind !== "matrix") continue;
      let begin = packed.begin + offset;
      for (const source of partsOf(content.source)) {
        if (source.kind === "stored") {
          const { out, d, ...type } = source.matrix;
          const run = layout.runRows(type, d);
          const runBytes = layout.packedBytes(type, run, d);
          for (const number of someRuns(Math.ceil(out / run), index)) {
            const first = number * run;
            const rows = weights.readStoredRows(source.matrix, first, Math.min(run, out - first));
            const expected = layout.packMatrix(type, d, rows);
            const found = Buffer.alloc(expected.length);
            await file.read(found, 0, found.length, begin + number * runBytes);
            if (!found.equals(expected))
              throw new Error(
                `self-check failed: run ${number} of ${source.matrix.tensor} is not what is stored`,
              );
            compared += Math.ceil(Math.min(run, out - first) / layout.rowsOfTile(type));
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

/** The first run, the last, and one between them that depends on the matrix. */
function someRuns(count: number, seed: number): ReadonlySet<number> {
  return new Set([0, (seed * 7919 + 13) % count, count - 1]);
}
