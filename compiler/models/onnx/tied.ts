import type { MatrixRef, Node, ValueId } from "../../ir/graph.js";
import type { Weights } from "../../read/weights.js";

/** Rows of the embedding that are compared together. */
const rowsTogether = 1024;

/**
 * The nodes with the head `output` on the token embedding's own matrix, where it is the same numbers: some exporters store
 * a tied head once more, transposed. An untied one differs in the first rows, so that no more of it is read.
 */
export function withTiedHead(nodes: readonly Node[], output: ValueId, weights: Weights): readonly Node[] {
  const table = nodes.find((node) => node.kind === "embedding" && node.index === "token");
  if (table?.kind !== "embedding") return nodes;
  return nodes.map((node) => {
    if (node.id !== output || node.kind !== "linear" || !areSame(node.weight, table.table, weights))
      return node;
    return { ...node, weight: { ...table.table, out: node.weight.out } };
  });
}

function areSame(head: MatrixRef, table: MatrixRef, weights: Weights): boolean {
  const isOther = head.tensor !== table.tensor && head.dtype === table.dtype && head.first === 0;
  if (!isOther || head.out !== table.out || head.d !== table.d || table.transposed) return false;
  const width = weights.require(table.tensor).bytes / (table.out * table.d);
  for (let first = 0; first < table.out; first += rowsTogether) {
    const rows = Math.min(rowsTogether, table.out - first);
    const [begin, end] = [first * table.d * width, (first + rows) * table.d * width];
    const own = weights.readBytes(table.tensor, begin, end);
    const other = head.transposed
      ? columns(head, first, rows, width, weights)
      : weights.readBytes(head.tensor, begin, end);
    if (Buffer.compare(own, other) !== 0) return false;
  }
  return true;
}

/** Columns of a matrix that is stored as [d, out], as rows [rows, d]. */
function columns(head: MatrixRef, first: number, rows: number, width: number, weights: Weights): Uint8Array {
  const turned = new Uint8Array(rows * head.d * width);
  for (let channel = 0; channel < head.d; channel++) {
    const at = (channel * head.out + first) * width;
    const column = weights.readBytes(head.tensor, at, at + rows * width);
    for (let row = 0; row < rows; row++)
      for (let byte = 0; byte < width; byte++)
        turned[(row * head.d + channel) * width + byte] = column[row * width + byte]!;
  }
  return turned;
}
