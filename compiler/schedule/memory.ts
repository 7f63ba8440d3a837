import type { KernelCall, Operand } from "../emit/operands.js";
import type { Graph, ValueId } from "../ir/graph.js";
import type { Argument, DeviceKind } from "../ir/program.js";
import type { DeviceStep, Step } from "../ir/steps.js";
import { quantizedTile } from "../layout/quantized-tiles.js";
import { maxColumns, stepBytes, strideOf } from "../layout/stride.js";
import { factorPlaces } from "../lower/factors.js";
import { placeValues } from "./arena.js";
import type { CacheLayout } from "./cache-layout.js";
import { WeightLayout } from "./weights-section.js";

/** Two counts of tokens, of 8 bytes, for each gate. */
export const counterBytes = 16;

/** Where the launches of one program find their operands. */
interface Places {
  /** Of values in the arena. */
  readonly offsets: ReadonlyMap<ValueId, number>;
  resolve(operand: Operand): Argument;
  /** Bytes of a value or of weights; null for the rest. */
  bytesOf(operand: Operand): number | null;
}

/** The buffers that the programs of a schedule share: weights, and an arena as large as any of them needs. */
export class Memory {
  readonly weights: WeightLayout;
  arenaBytes = 0;

  constructor(graph: Graph, device: DeviceKind) {
    this.weights = new WeightLayout(device, graph.context);
  }

  /** Lays out the values of calls, in their order; `counters` are places of gates' counters. */
  place(
    calls: readonly KernelCall[],
    widths: ReadonlyMap<ValueId, number>,
    counters: ReadonlyMap<string, number>,
    cache: CacheLayout,
  ): Places {
    const { offsets, bytes } = placeValues(calls.map((call) => ({ values: valuesOf(call, widths) })));
    this.arenaBytes = Math.max(this.arenaBytes, bytes);
    const valueBytes = (id: ValueId) => maxColumns * strideOf(widthOf(id, widths)) * 4;
    const resolve = (operand: Operand): Argument => {
      switch (operand.kind) {
        case "step":
          return { buffer: "step", offset: 0, bytes: stepBytes };
        case "value":
          return { buffer: "arena", offset: offsets.get(operand.id)!, bytes: valueBytes(operand.id) };
        case "weight":
        case "screen":
        case "vector":
        case "biases":
        case "rope": {
          const offset = this.weights.place(operand);
          return { buffer: "weights", offset, bytes: this.weights.bytesAt(offset) };
        }
        case "cache":
          return { buffer: "cache", ...cache.place(operand) };
        case "counter":
          return { buffer: "counters", offset: counters.get(operand.gate)!, bytes: counterBytes };
        default:
          return operand satisfies never;
      }
    };
    const bytesOf = (operand: Operand) => {
      const { buffer, bytes } = resolve(operand);
      return buffer === "arena" || buffer === "weights" ? bytes : null;
    };
    return { offsets, resolve, bytesOf };
  }
}

/** Elements of a row of what each step writes. */
export function stepWidths(steps: readonly (Step | DeviceStep)[]): ReadonlyMap<ValueId, number> {
  const widths = new Map<ValueId, number>();
  for (const step of steps) {
    if ("width" in step) {
      widths.set(step.output, step.width);
      if (step.kind === "screen") widths.set(step.floors, Math.ceil(step.width / quantizedTile.rows));
      continue;
    }
    switch (step.kind) {
      case "basis":
        widths.set(step.output, step.basis.k);
        break;
      case "factors":
        widths.set(step.output, factorPlaces(step.factors).width);
        // [16] f64 in the place of one row.
        if (step.squares !== null) widths.set(step.squares, 32);
        break;
      case "attend":
        widths.set(step.output, step.attention.heads * step.attention.headDim);
        if ("partials" in step && step.partials !== null)
          widths.set(step.partials.output, step.partials.width);
        break;
      case "combine":
        break; // attention has what it reads and writes
      case "choose":
        widths.set(step.output, 16);
        break;
      case "cache":
        break;
      default:
        step satisfies never;
    }
  }
  return widths;
}

/** How wide a value is. Throws, as a defect of gsic, if no step writes it. */
function widthOf(id: ValueId, widths: ReadonlyMap<ValueId, number>): number {
  const width = widths.get(id);
  if (width === undefined) throw new Error(`the value ${id} is read, and no step writes it`);
  return width;
}

function valuesOf(call: KernelCall, widths: ReadonlyMap<ValueId, number>): ReadonlyMap<ValueId, number> {
  return new Map(
    call.operands.flatMap(({ operand }) =>
      operand.kind === "value" ? [[operand.id, widthOf(operand.id, widths)]] : [],
    ),
  );
}
