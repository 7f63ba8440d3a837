import { isDeepStrictEqual } from "node:util";
import { blockSizes, type CacheType, type Graph, type MatrixRef, type Node } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import type { DeviceKind } from "../ir/program.js";
import { multipliedType, originalMatrix, roundedMatrix } from "../ir/rounded.js";
import { cachesOf } from "../layout/cache.js";
import type { Model } from "../models/model.js";
import { accountBytes } from "../passes/account-bytes.js";
import { GsicError } from "../support/errors.js";
import type { ParsedPlan } from "./parse.js";

/**
 * Takes a plan that was read from graph.ts for a model. Forms, k, epsilon, types and how the cache keeps numbers are a
 * person's to choose, and the context
 * may be shortened; the graph must be the model's own, node for node. Bytes are counted anew. Throws
 * `graph-other-model`, `graph-changed` and `graph-type` (category usage).
 */
export function adoptPlan(
  { plan, header }: ParsedPlan,
  model: Model,
  file: string,
  device: DeviceKind = "cpu",
): Plan {
  const refuse = (code: string, message: string, where = file) =>
    new GsicError({
      category: "usage",
      code,
      message,
      where,
      hint: "edit the graph.ts of a build of this model; forms, k, epsilon and cache are free",
    });
  if (header.fingerprint !== model.fingerprint) {
    throw refuse("graph-other-model", "this graph was built from another model");
  }
  const { graph } = plan;
  const expected = model.graph;
  if (graph.context > expected.context) {
    const message = `context = ${graph.context} is above what model.toml allows, ${expected.context}`;
    throw refuse("graph-changed", message);
  }
  const count = Math.max(graph.nodes.length, expected.nodes.length);
  for (let index = 0; index < count; index++) {
    const [node, original] = [graph.nodes[index], expected.nodes[index]];
    if (node && original && isDeepStrictEqual(asRead(node), asRead(original))) continue;
    const message =
      original === undefined
        ? "the graph has a node that the model has not"
        : node === undefined
          ? `the graph lacks ${original.id}`
          : `${node.id} is not what the model computes there, ${original.id}`;
    throw refuse("graph-changed", message, `${file}: ${node?.id ?? original!.id}`);
  }
  for (const key of ["name", "family", "vocabulary", "output"] as const) {
    if (graph[key] === expected[key]) continue;
    const message = `${key} is ${JSON.stringify(graph[key])}, and the model's is ${JSON.stringify(expected[key])}`;
    throw refuse("graph-changed", message);
  }
  const other = layerOfOther(graph, cachesOf[device]);
  if (other !== undefined) {
    const message = `the cache of a GPU holds ${cachesOf[device].join(" or ")}, not ${other.cache}`;
    throw refuse("graph-cache", message, `${file}: ${other.id}`);
  }
  // How weights are stored is for model.toml to say, and what they are rounded to is free.
  const nodes = expected.nodes.map((node, index) => withTypeOf(node, graph.nodes[index]!, file));
  return accountBytes({ ...plan, graph: { ...graph, nodes } }, { device });
}

/** The first attention whose cache is none of some types. */
function layerOfOther({ nodes }: Graph, types: readonly CacheType[]) {
  return nodes.filter((node) => node.kind === "attention").find(({ cache }) => !types.includes(cache));
}

/** A node of the model with its matrix rounded as that of the edited one. Throws `graph-type` (category usage). */
function withTypeOf(node: Node, edited: Node, file: string): Node {
  const rounded = (matrix: MatrixRef, { rounded: wanted }: MatrixRef): MatrixRef => {
    if (wanted === undefined) return matrix;
    const { elements } = blockSizes[multipliedType(wanted.type)];
    if (matrix.d % elements === 0) return roundedMatrix(matrix, wanted.type);
    throw new GsicError({
      category: "usage",
      code: "graph-type",
      message: `rows of ${matrix.d} elements are no whole blocks of ${wanted.type}`,
      where: `${file}: ${node.id}`,
      hint: `choose a type whose blocks have a divisor of ${matrix.d} elements`,
    });
  };
  if (node.kind === "linear" && edited.kind === "linear")
    return { ...node, weight: rounded(node.weight, edited.weight) };
  if (node.kind === "embedding" && edited.kind === "embedding")
    return { ...node, table: rounded(node.table, edited.table) };
  return node.kind === "attention" ? edited : node;
}

/** A node without how its weights are kept, and its cache. */
function asRead(node: Node): Node {
  if (node.kind === "attention") return { ...node, cache: "f32" };
  const matrix = (ref: MatrixRef) => {
    const { coded: _, ...rest } = originalMatrix(ref);
    return rest;
  };
  if (node.kind === "linear") return { ...node, weight: matrix(node.weight) };
  return node.kind === "embedding" ? { ...node, table: matrix(node.table) } : node;
}
