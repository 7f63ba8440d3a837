import type { Graph, MatrixRef } from "../ir/graph.js";
import { mapMatrices } from "../ir/rounded.js";
import { mostRare, rareWeights } from "../layout/coded-tiles.js";
import { matrixBytes } from "../layout/matrix.js";
import { roundUp } from "../layout/stride.js";
import { maxRunRows } from "../layout/tiles.js";
import type { Weights } from "../read/weights.js";

/** Rooms for rare weights are multiples of this, so that few of them make kernels that differ. */
const roomStep = 32;

/**
 * The graph with every matrix of bf16 kept in twelve bits a weight where that takes fewer bytes in a CPU's bundle. Reads
 * those matrices once. Matrices of one shape get one room for rare weights, so that they share kernels; `progress` is
 * told how many matrices are read.
 */
export function withCodedWeights(
  graph: Graph,
  weights: Weights,
  progress: (done: number, total: number) => void = () => {},
): Graph {
  const matrices = matricesOf(graph).filter(({ dtype }) => dtype === "bf16");
  const rare = new Map<string, number>();
  for (const [index, matrix] of matrices.entries()) {
    progress(index, matrices.length);
    rare.set(keyOf(matrix), roomOf(matrix, weights));
  }
  const rooms = new Map<string, number>();
  for (const matrix of matrices) {
    const room = rare.get(keyOf(matrix))!;
    if (isSmaller(matrix, room)) rooms.set(shapeOf(matrix), Math.max(rooms.get(shapeOf(matrix)) ?? 0, room));
  }
  const coded = (matrix: MatrixRef): MatrixRef => {
    const room = rooms.get(shapeOf(matrix));
    const own = rare.get(keyOf(matrix));
    return room !== undefined && own !== undefined && own <= room ? { ...matrix, coded: room } : matrix;
  };
  return mapMatrices(graph, coded);
}

/** Every matrix of a graph once. */
function matricesOf({ nodes }: Graph): readonly MatrixRef[] {
  const all = nodes.flatMap((node) =>
    node.kind === "linear" ? [node.weight] : node.kind === "embedding" ? [node.table] : [],
  );
  return [...new Map(all.map((matrix) => [keyOf(matrix), matrix])).values()];
}

const keyOf = ({ tensor, out, d, first }: MatrixRef) => JSON.stringify([tensor, out, d, first]);
const shapeOf = ({ out, d }: MatrixRef) => `${out}x${d}`;

/** The room that each run of a matrix's rows needs for rare weights. */
function roomOf(matrix: MatrixRef, weights: Weights): number {
  const buffer = new Uint8Array(2 * matrix.d * maxRunRows);
  let most = 0;
  for (let row = 0; row < matrix.out; row += maxRunRows) {
    const rows = weights.readStoredRows(matrix, row, Math.min(maxRunRows, matrix.out - row), buffer);
    most = Math.max(most, rareWeights(matrix.d, rows));
  }
  return roundUp(most, roomStep);
}

function isSmaller(matrix: MatrixRef, room: number): boolean {
  return room <= mostRare && matrixBytes("cpu", { ...matrix, coded: room }) < matrixBytes("cpu", matrix);
}
