import type { KernelCall, Operand } from "../emit/operands.js";
import { quantizerText } from "../ir/forms.js";
import type { ValueId, VectorRef } from "../ir/graph.js";
import type { Kernel, Launch } from "../ir/program.js";
import type { WeightSource } from "../ir/steps.js";
import { layerOf } from "../ir/walk.js";
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

function vectorName({ tensor, first, length }: VectorRef): string {
  return first === 0 ? tensor : `${tensor} [${first}, ${first + length})`;
}

/** What a matrix is called in program.json. */
export function matrixName(source: WeightSource): string {
  switch (source.kind) {
    case "stacked":
      return source.parts.map(matrixName).join(" + ");
    case "stored": {
      const { tensor, first, out } = source.matrix;
      return first === 0 ? tensor : `${tensor} rows [${first}, ${first + out})`;
    }
    case "basis":
      return `basis of ${source.input}, k = ${source.k}`;
    case "image":
      return `image of ${source.linear}, k = ${source.k}`;
    case "quantized":
      return `${source.linear} at ${quantizerText(source.quantizer)}, rank ${source.rank}`;
    case "correction":
      return `correction of ${source.recipe.input}, rank ${source.out}`;
    case "projections":
      return `error projections of ${source.recipe.input}, ${source.out}`;
    default:
      return source satisfies never;
  }
}
