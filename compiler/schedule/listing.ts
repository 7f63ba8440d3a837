import type { KernelCall, Operand } from "../emit/operands.js";
import type { Kernel, Launch } from "../ir/program.js";
import type { DeviceStep, Step } from "../ir/steps.js";
import { matrixName, vectorName } from "../lower/names.js";
import type { ListedLaunch, ListedPass } from "../report/program-json.js";

/** The launches of a program, and what each was made from. */
interface Launched {
  readonly steps: readonly (Step | DeviceStep)[];
  readonly calls: readonly KernelCall[];
  readonly launches: readonly Launch[];
  readonly kernels: readonly Kernel[];
  readonly bytesOf: (operand: Operand) => number | null;
}

/** Says what the launches of a program are for and refer to; those from `headAt` on are the head's. */
export function listLaunches(
  { steps, calls, launches, kernels, bytesOf }: Launched,
  headAt: number,
): ListedPass {
  const listed = calls.map(({ operands }, index): ListedLaunch => {
    const launch = launches[index]!;
    return {
      kernel: kernels[launch.kernel]!.symbol,
      layer: steps[index]!.layer,
      ...(launch.from !== undefined && { from: launch.from }),
      ...(launch.alone && { alone: true }),
      reads: operands.flatMap(({ name, access }) => (access === "write" ? [] : [name])),
      writes: operands.flatMap(({ name, access }) => (access === "read" ? [] : [name])),
      arguments: operands.map(({ name, type, operand, rows }, slot) => ({
        name,
        type,
        ...launch.arguments[slot]!,
        refers_to: referent(operand),
        bytes: bytesOf(operand),
        value: operand.kind === "value" ? operand.id : null,
        rows,
      })),
    };
  });
  return { body: listed.slice(0, headAt), head: listed.slice(headAt) };
}

/** Launches of a token behind a short text. */
export function launchesOf({ body, head }: ListedPass): number {
  return [...body, ...head].filter(({ from }) => from === undefined).length;
}

/** Those of them that are a layer's, per layer; 0 without layers. */
export function launchesPerLayer({ body }: ListedPass): number {
  const layers = body.flatMap(({ layer, from }) => (layer === null || from !== undefined ? [] : [layer]));
  return layers.length === 0 ? 0 : layers.length / new Set(layers).size;
}

function referent(operand: Operand): string {
  switch (operand.kind) {
    case "step":
      return "step";
    case "value":
      return operand.id;
    case "weight":
      return matrixName(operand.source);
    case "screen":
      return `copy of ${matrixName({ kind: "stored", matrix: operand.source.matrix })}`;
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
      return `counts of gate ${operand.gate}`;
    default:
      return operand satisfies never;
  }
}
