import { createHash } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Graph, MatrixRef, RoundedType } from "../ir/graph.js";
import { originalMatrix, roundedMatrices } from "../ir/rounded.js";
import type { InputStats } from "../ir/statistics.js";
import { keptBlocks } from "../read/iq4-nl.js";
import type { Weights } from "../read/weights.js";
import { GsicError } from "../support/errors.js";
import { temporaryFolder } from "../support/temporary.js";
import { type Algebra, AlgebraError } from "./algebra.js";
import { blockBytes, isPlain, plainBytes } from "./blocks.js";
import type { StatsFile } from "./stats-file.js";

/** Elements that are rounded at a time: rows depend on no others. */
export const roundedElements = 1 << 25;

/**
 * Rows [.., d] of the matrix `name` in a type of GGUF, under the statistics of their input; null: all columns count alike.
 * Throws `rounding` (category data) where weights or statistics are no numbers.
 */
export async function roundedRows(
  algebra: Algebra,
  type: RoundedType | "f32",
  rows: Float32Array,
  d: number,
  stats: InputStats | null,
  name: string,
): Promise<Uint8Array> {
  if (isPlain(type)) return plainBytes(type, rows);
  try {
    return await blockBytes(algebra, type, rows, d, stats);
  } catch (cause) {
    if (!(cause instanceof AlgebraError)) throw cause;
    throw new GsicError({
      category: "data",
      code: "rounding",
      message: `the matrix cannot be rounded: ${cause.message}`,
      where: name,
      hint: "check the weights for values that are no numbers; if they have none, collect the statistics again",
      cause,
    });
  }
}

/** The matrices that plans keep in types of GGUF, each in a temporary file, as tensors of a model's weights. */
export class RoundedMatrices {
  private constructor(
    private readonly folder: string,
    private readonly weights: Weights,
    private readonly algebra: Algebra,
  ) {}

  static async open(weights: Weights, algebra: Algebra): Promise<RoundedMatrices> {
    return new RoundedMatrices(await temporaryFolder("rounded"), weights, algebra);
  }

  /** Makes those of a graph that are not there yet, under the statistics of their inputs. Throws what `roundedRows` throws. */
  async make(graph: Graph, stats: StatsFile, progress: (done: number, total: number) => void): Promise<void> {
    const missing = roundedMatrices(graph).filter(
      ({ matrix }) => this.weights.info(matrix.tensor) === undefined,
    );
    for (const [index, { matrix, input }] of missing.entries()) {
      progress(index, missing.length);
      await this.write(matrix, input === null ? null : stats.read(input, matrix.d));
    }
  }

  private async write(matrix: MatrixRef, stats: InputStats | null): Promise<void> {
    const { tensor, dtype, out, d, rounded } = matrix;
    const { type } = rounded!;
    const file = join(this.folder, createHash("sha256").update(tensor).digest("hex").slice(0, 40));
    const step = Math.max(1, Math.floor(roundedElements / d));
    let bytes = 0;
    const to = await open(file, "w");
    try {
      for (let row = 0; row < out; row += step) {
        const rows = this.weights.readRows(originalMatrix(matrix), row, Math.min(step, out - row));
        const kept = keptBlocks(type, await roundedRows(this.algebra, type, rows, d, stats, tensor));
        await to.writeFile(kept);
        bytes += kept.length;
      }
    } finally {
      await to.close();
    }
    this.weights.add({ name: tensor, dtype, shape: [out, d], file, offset: 0, bytes });
  }

  /** Removes the files. */
  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
