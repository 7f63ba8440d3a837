import { GsicError } from "./errors.js";
import type { MatrixRef, Node, Plan, VectorRef } from "./ir.js";
import type { Model } from "./model.js";
import type { ParsedPlan } from "./parse.js";
import { accountBytes } from "./passes/account-bytes.js";

/**
 * Takes a plan that was read from graph.ts for a model: it must have been built from this model, name tensors that
 * are there, and stay within them. Bytes are counted anew. Throws `graph-other-model` (category usage).
 */
export function adoptPlan({ plan, header }: ParsedPlan, model: Model, file: string): Plan {
  const refuse = (message: string, node?: string) =>
    new GsicError({
      category: "usage",
      code: "graph-other-model",
      message,
      where: node === undefined ? file : `${file}: ${node}`,
      hint: "edit the graph.ts of a build of this model; forms, k and epsilon are free",
    });
  if (header.fingerprint !== model.fingerprint) throw refuse("this graph was built from another model");
  if (plan.graph.context > model.graph.context) {
    throw refuse(`context = ${plan.graph.context} is above what model.toml allows, ${model.graph.context}`);
  }
  for (const node of plan.graph.nodes) {
    const wrong = matricesOf(node).find((matrix) => !matrixFits(matrix, model));
    if (wrong !== undefined) {
      const shape = `${wrong.dtype} [${wrong.out}, ${wrong.d}] from row ${wrong.first}`;
      throw refuse(`the tensor ${JSON.stringify(wrong.tensor)} does not hold ${shape}`, node.id);
    }
    const short = vectorsOf(node).find((vector) => !vectorFits(vector, model));
    if (short !== undefined) {
      throw refuse(
        `the tensor ${JSON.stringify(short.tensor)} does not hold ${short.length} elements`,
        node.id,
      );
    }
  }
  return accountBytes(plan);
}

function matricesOf(node: Node): readonly MatrixRef[] {
  if (node.kind === "linear") return [node.weight];
  return node.kind === "embedding" ? [node.table] : [];
}

function vectorsOf(node: Node): readonly VectorRef[] {
  const vectors = node.kind === "linear" ? [node.bias] : node.kind === "norm" ? [node.gain, node.bias] : [];
  return vectors.filter((vector) => vector !== null);
}

function matrixFits({ tensor, dtype, out, d, transposed, first }: MatrixRef, model: Model): boolean {
  const info = model.weights.info(tensor);
  if (info === undefined || info.dtype !== dtype || info.shape.length !== 2) return false;
  const [rows, columns] = transposed ? [info.shape[1]!, info.shape[0]!] : [info.shape[0]!, info.shape[1]!];
  return columns === d && first + out <= rows;
}

function vectorFits({ tensor, first, length }: VectorRef, model: Model): boolean {
  const info = model.weights.info(tensor);
  return info !== undefined && first + length <= info.shape.reduce((product, size) => product * size, 1);
}
