import { open } from "node:fs/promises";
import { compileFor } from "../cc/index.js";
import type { Target } from "../config/target.js";
import type { Graph, Node, ValueId } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import type { Kernel, ProgramMode } from "../ir/program.js";
import { violations } from "../ir/verify.js";
import { linearById, mapInputs } from "../ir/walk.js";
import type { Model } from "../models/model.js";
import { writeModelBundle } from "../pack/assemble.js";
import { noFactors } from "../pack/weights.js";
import { type Schedule, schedule } from "../schedule/program.js";
import type { PackedWeights } from "../schedule/weights-section.js";

/** Layers of a graph. */
export function layersOf({ nodes }: Graph): number {
  return nodes.reduce((most, { layer }) => Math.max(most, (layer ?? -1) + 1), 0);
}

/**
 * A plan of the first layers, between the same embeddings and the same output head: what follows the last layer reads
 * the same part of the last one that is kept instead. Null where the graph is not of that form.
 */
export function firstLayers(plan: Plan, count: number): Plan | null {
  const { graph } = plan;
  const [last, kept] = [layersOf(graph) - 1, count - 1].map((layer) => nodesOf(graph, layer));
  const instead = new Map(last!.map(({ id }, index) => [id, kept![index]?.id]));
  const redirect = (id: ValueId) => instead.get(id) ?? id;
  const nodes = graph.nodes.flatMap((node) => {
    if (node.layer === null) return [mapInputs(node, redirect)];
    return node.layer < count ? [node] : [];
  });
  const part = { ...graph, nodes };
  if (count < 1 || violations(part).length > 0) return null;
  const present = new Set(nodes.map(({ id }) => id));
  return {
    graph: part,
    linears: new Map([...plan.linears].filter(([id]) => present.has(id))),
    groups: plan.groups.flatMap((group) => {
      const linears = group.linears.filter((id) => present.has(id));
      const outside = linears.some((id) => linearById(graph, id).layer === null);
      return linears.length === 0
        ? []
        : [{ ...group, linears, input: outside ? redirect(group.input) : group.input }];
    }),
  };
}

function nodesOf({ nodes }: Graph, layer: number): readonly Node[] {
  return nodes.filter((node) => node.layer === layer);
}

/** The first layers of a build as a model of its own. */
export interface Part {
  readonly plan: Plan;
  readonly scheduled: Schedule;
  readonly layers: number;
  /** Symbols of kernels that only later layers launch. */
  readonly without: readonly string[];
}

/**
 * The fewest first layers that launch every kernel of a build, or as many as have at most `most` weights, but one at
 * least. Null where the graph has no layers to leave out.
 */
export function partOf(
  plan: Plan,
  full: Schedule,
  modes: readonly ProgramMode[],
  target: Target,
  most: number,
): Part | null {
  let part: Part | null = null;
  for (let layers = 1; layers < layersOf(plan.graph); layers++) {
    const shorter = firstLayers(plan, layers);
    if (shorter === null || (part !== null && parametersOf(shorter.graph) > most)) break;
    const scheduled = schedule(shorter, modes, target);
    const known = new Set(scheduled.kernels.map(contentOf));
    const without = full.kernels
      .filter((kernel) => !known.has(contentOf(kernel)))
      .map(({ symbol }) => symbol);
    part = { plan: shorter, scheduled, layers, without };
    if (without.length === 0) break;
  }
  return part;
}

/** A kernel without its name, which depends on what else there is. */
function contentOf({ template, symbol, source }: Kernel): string {
  return `${template}\n${source.replaceAll(symbol, "")}`;
}

/** Weights in all linears. */
export function parametersOf(graph: Graph): number {
  return graph.nodes.reduce(
    (sum, node) => (node.kind === "linear" ? sum + node.weight.out * node.weight.d : sum),
    0,
  );
}

/** A bundle that is finished, and where its weights begin. */
export interface Packed {
  readonly bundle: string;
  readonly begin: number;
  readonly weights: PackedWeights;
}

/** Writes the part's bundle: its weights are those of the finished bundle, byte by byte. */
export async function writePart(
  path: string,
  part: Part,
  packed: Packed,
  model: Model,
  modes: readonly ProgramMode[],
  targets: readonly Target[],
): Promise<void> {
  const { plan, scheduled } = part;
  const code = [];
  for (const target of targets) code.push(await compileFor(scheduled.kernels, target));
  const content = { model, plan, schedule: scheduled, modes, code, factors: noFactors };
  await writeModelBundle(path, content, { packed: () => copied(scheduled.weights, packed) });
}

const copyBytes = 1 << 20;

/** A weights section from the pieces of another that has them all. */
async function* copied(wanted: PackedWeights, packed: Packed): AsyncGenerator<Uint8Array> {
  const places = new Map(
    packed.weights.items.map(({ content, offset }) => [JSON.stringify(content), packed.begin + offset]),
  );
  const file = await open(packed.bundle, "r");
  try {
    let position = 0;
    for (const { content, offset, bytes } of wanted.items) {
      if (offset > position) yield new Uint8Array(offset - position);
      const place = places.get(JSON.stringify(content))!;
      for (let done = 0; done < bytes; done += copyBytes) {
        const piece = new Uint8Array(Math.min(copyBytes, bytes - done));
        await file.read(piece, 0, piece.length, place + done);
        yield piece;
      }
      position = offset + bytes;
    }
  } finally {
    await file.close();
  }
}
