/** Matrices that a plan keeps in a type of GGUF, and what they are rounded from. */
import type { DType, Graph, MatrixRef, RoundedType, StoredView } from "./graph.js";

/** The type by which gsic multiplies: IQ4_NL's levels are integers of 8 bits, so its blocks are ones of Q8_0. */
export function multipliedType(type: RoundedType): DType {
  return type === "iq4_nl" ? "q8_0" : type;
}

/** A matrix rounded to a type: a tensor of its own, which calibrate/rounded.ts makes. */
export function roundedMatrix(matrix: MatrixRef, type: RoundedType): MatrixRef {
  const { out, d, ...view } = originalMatrix(matrix);
  const from: StoredView = view;
  const tensor = `${from.tensor} [${from.first}, ${from.first + out}) in ${type}`;
  return {
    tensor,
    dtype: multipliedType(type),
    out,
    d,
    transposed: false,
    first: 0,
    rounded: { type, from },
  };
}

/** A matrix as the model's files have it. */
export function originalMatrix(matrix: MatrixRef): Omit<MatrixRef, "rounded"> {
  const { rounded, out, d } = matrix;
  return rounded === undefined ? matrix : { ...rounded.from, out, d };
}

/** A graph with every matrix of its linears and embeddings replaced. */
export function mapMatrices(graph: Graph, replace: (matrix: MatrixRef) => MatrixRef): Graph {
  const nodes = graph.nodes.map((node) => {
    if (node.kind === "linear") return { ...node, weight: replace(node.weight) };
    return node.kind === "embedding" ? { ...node, table: replace(node.table) } : node;
  });
  return { ...graph, nodes };
}

/** The matrices of linears and embeddings that are rounded, each once, with the input of a linear that reads it. */
export function roundedMatrices({ nodes }: Graph): readonly { matrix: MatrixRef; input: string | null }[] {
  const found = new Map<string, { matrix: MatrixRef; input: string | null }>();
  for (const node of nodes) {
    const matrix = node.kind === "linear" ? node.weight : node.kind === "embedding" ? node.table : null;
    if (matrix?.rounded === undefined) continue;
    const input = node.kind === "linear" ? node.input : null;
    const known = found.get(matrix.tensor);
    if (known === undefined || known.input === null) found.set(matrix.tensor, { matrix, input });
  }
  return [...found.values()];
}
