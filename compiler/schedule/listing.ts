import type { KernelCall, Operand } from "../emit/operands.js";
import type { ValueId } from "../ir/graph.js";
import type { Kernel, Launch } from "../ir/program.js";
import { layerOf } from "../ir/walk.js";
import { matrixName, vectorName } from "../lower/names.js";
import type { ListedLaunch, ListedPass } from "../report/program-json.js";

/** Names what the launches of a program refer to; `calls` are what they were made from. */
export function listLaunches(
  calls: readonly Pick<KernelCall, "operands">[],
  launches: readonly Launch[],
  kernels: readonly Pick<Kernel, "symbol">[],
  headAt: number,
  bytesOf: (operand: Operand) => number | null = () => null,
): ListedPass {
  const written = new Set<ValueId>();
  const listed = calls.map(({ operands }, index): ListedLaunch => {
    const launch = launches[index]!;
    return {
      kernel: kernels[launch.kernel]!.symbol,
      layer: layerOfLaunch(
        operands.map(({ operand }) => operand),
        written,
      ),
      arguments: operands.map(({ name, type, operand }, slot) => ({
        name,
        type,
        ...launch.arguments[slot]!,
        refers_to: referent(operand),
        bytes: bytesOf(operand),
      })),
    };
  });
  return { body: listed.slice(0, headAt), head: listed.slice(headAt) };
}

/** Launches of the body that write a layer's values or cache, per layer; 0 without layers. */
export function launchesPerLayer({ body }: ListedPass): number {
  const layers = body.flatMap(({ layer }) => (layer === null ? [] : [layer]));
  return layers.length === 0 ? 0 : layers.length / new Set(layers).size;
}

/** A value is written by the first launch that mentions it; `written` gains those. */
function layerOfLaunch(operands: readonly Operand[], written: Set<ValueId>): number | null {
  let layer: number | null = null;
  for (const operand of operands) {
    if (operand.kind === "cache") layer ??= operand.layer;
    if (operand.kind !== "value" || written.has(operand.id)) continue;
    written.add(operand.id);
    layer = layerOf(operand.id)?.index ?? layer;
  }
  return layer;
}

function referent(operand: Operand): string {
  switch (operand.kind) {
    case "step":
      return "step";
    case "value":
      return operand.id;
    case "weight":
      return matrixName(operand.source);
    case "vector":
      return vectorName(operand.vector);
    case "biases":
      return operand.parts
        .map(({ vector, length }) => (vector === null ? `${length} zeros` : vectorName(vector)))
        .join(" + ");
    case "rope":
      return `rotary angles, theta ${operand.rope.theta}`;
    case "cache":
      return `${operand.part} of layer ${operand.layer}`;
    case "counter":
      return `tiers of ${operand.gate}`;
    default:
      return operand satisfies never;
  }
}
