import { computesOwn } from "../emit/gpu/division.js";
import { deviceKernelOf } from "../emit/gpu/kernel.js";
import { type ProjectionDivision, projectionDivisions } from "../emit/gpu/projection-divisions.js";
import { readKernel } from "../emit/gpu/read.js";
import { kernelOf } from "../emit/kernel.js";
import type { KernelCall, Operand } from "../emit/operands.js";
import { strideOf } from "../emit/stride.js";
import { loadTemplates } from "../emit/template.js";
import { densePlan, planGates } from "../forms.js";
import type {
  Argument,
  DeviceStep,
  Graph,
  Kernel,
  Launch,
  Plan,
  Program,
  ProgramMode,
  Step,
  Tap,
  ValueId,
} from "../ir.js";
import type { Target } from "../target.js";
import { factorPlaces } from "./factors.js";
import { fuse } from "./fuse.js";
import { maxColumns, type PackedWeights, placeValues, roundUp, WeightLayout } from "./layout.js";
import { type Listing, listLaunches } from "./listing.js";
import { lower } from "./lower.js";

/** Everything that the bundle needs besides weights and machine code. */
export interface Schedule {
  readonly kernels: readonly Kernel[];
  /** How each kernel divides its projections among waves; none on CPUs. */
  readonly divisions: readonly (readonly ProjectionDivision[])[];
  /** By mode, or by the name of the variant. */
  readonly programs: Readonly<Record<string, Program>>;
  /** The programs with the names of what their launches refer to. */
  readonly listings: Readonly<Record<string, Listing>>;
  readonly weights: PackedWeights;
  readonly arenaBytes: number;
  readonly cacheBytes: number;
  readonly counterBytes: number;
}

/** Bytes of the `gsic_step` structure in templates/include/gsic/abi.h. */
export const stepBytes = 16 + 4 * 16;

/** Turns a plan into launches, one program per mode; in `exact` mode every linear is dense, whatever the plan says. */
export function schedule(plan: Plan, modes: readonly ProgramMode[], target: Target): Schedule {
  return scheduleAll(
    modes.map((mode) => ({ name: mode, plan: mode === "exact" ? densePlan(plan) : plan })),
    target,
  );
}

/** A program to be, under a name. */
export interface Variant {
  readonly name: string;
  readonly plan: Plan;
}

/** Turns plans of one graph into launches, a program each; all share kernels, weights and arena. */
export function scheduleAll(variants: readonly Variant[], target: Target): Schedule {
  const { graph } = variants[0]!.plan;
  const { context } = graph;
  const kernels = new KernelTable(target.dialect);
  const weights = new WeightLayout(target.device, context);
  const cache = cacheLayout(graph, context);
  const programs: Record<string, Program> = {};
  const listings: Record<string, Listing> = {};
  let arenaBytes = 0;
  let gates = 0;
  for (const { name, plan } of variants) {
    const { steps, calls } = callsOf(lower(plan), context, target);
    const counters = new Map(planGates(plan).map((gate, index) => [gate.name, 16 * index]));
    gates = Math.max(gates, counters.size);
    const widths = stepWidths(steps);
    const arena = placeValues(calls.map((call) => ({ values: valuesOf(call, widths) })));
    arenaBytes = Math.max(arenaBytes, arena.bytes);
    const resolve = (operand: Operand): Argument => {
      switch (operand.kind) {
        case "step":
          return { buffer: "step", offset: 0 };
        case "value":
          return { buffer: "arena", offset: arena.offsets.get(operand.id)! };
        case "weight":
        case "vector":
        case "biases":
        case "rope":
          return { buffer: "weights", offset: weights.place(operand) };
        case "cache":
          return { buffer: "cache", offset: cache.place(operand.layer, operand.part) };
        case "counter":
          return { buffer: "counters", offset: counters.get(operand.gate)! };
        default:
          return operand satisfies never;
      }
    };
    const launches = calls.map(
      (call): Launch => ({
        kernel: kernels.index(call),
        arguments: call.operands.map(({ operand }) => resolve(operand)),
      }),
    );
    const bytesOf = (operand: Operand): number | null => {
      if (operand.kind === "value") return maxColumns * strideOf(widths.get(operand.id)!) * 4;
      const { buffer, offset } = resolve(operand);
      return buffer === "weights" ? weights.bytesAt(offset) : null;
    };
    const headAt = steps.findIndex((step) => step.kind === "project" && step.head);
    listings[name] = listLaunches(calls, launches, kernels.kernels, headAt, bytesOf);
    programs[name] = {
      body: launches.slice(0, headAt),
      head: launches.slice(headAt),
      logits: {
        offset: arena.offsets.get(graph.output)!,
        stride: strideOf(graph.vocabulary),
      },
      greedy: greedyOf(steps, arena.offsets),
      taps: target.device === "cpu" && name === "exact" ? taps(plan, steps, arena.offsets, widths) : [],
      tiers: [...counters.keys()],
    };
  }
  if (target.device !== "cpu") kernels.index(readKernel(target));
  return {
    kernels: kernels.kernels,
    divisions: kernels.divisions,
    programs,
    listings,
    weights,
    arenaBytes,
    cacheBytes: Math.max(cache.bytes, 64),
    counterBytes: Math.max(16 * gates, 64),
  };
}

/** The steps as the target runs them, and their kernels. */
function callsOf(steps: readonly Step[], context: number, target: Target) {
  if (target.device === "cpu") {
    return { steps, calls: steps.map((step): KernelCall => kernelOf(step, context)) };
  }
  const fused = fuse(steps, (factors) => computesOwn(factors, target));
  return { steps: fused, calls: fused.map((step): KernelCall => deviceKernelOf(step, context, target)) };
}

/** Where the step that chooses a token leaves it; null without one. */
function greedyOf(steps: readonly (Step | DeviceStep)[], offsets: ReadonlyMap<ValueId, number>) {
  const choose = steps.find((step) => step.kind === "choose");
  return choose === undefined ? null : { offset: offsets.get(choose.output)! };
}

/** Renders kernels; calls with equal parameters share one. */
class KernelTable {
  readonly kernels: Kernel[] = [];
  readonly divisions: (readonly ProjectionDivision[])[] = [];
  private readonly byContent = new Map<string, number>();
  private readonly symbols = new Set<string>();
  private readonly render: ReturnType<typeof loadTemplates>;

  constructor(dialect: string) {
    this.render = loadTemplates(dialect);
  }

  index(call: KernelCall): number {
    const content = JSON.stringify([call.template, call.params]);
    const known = this.byContent.get(content);
    if (known !== undefined) return known;
    const symbol = this.unique(`gsic_${call.symbol}`);
    this.kernels.push({
      symbol,
      template: call.template,
      summary: call.params.summary,
      arguments: call.operands.map(({ name, type }) => ({ name, type })),
      launch: call.launch,
      source: this.render(call.template, { ...call.params, symbol }),
    });
    this.divisions.push(projectionDivisions(call));
    this.byContent.set(content, this.kernels.length - 1);
    return this.kernels.length - 1;
  }

  private unique(symbol: string): string {
    let candidate = symbol;
    for (let number = 2; this.symbols.has(candidate); number++) candidate = `${symbol}_${number}`;
    this.symbols.add(candidate);
    return candidate;
  }
}

/** Keys and values, layer by layer: [kv heads, context, padded head] f32 each; as in templates/include/gsic/attention.h. */
function cacheLayout(graph: Graph, context: number) {
  const sizes = graph.nodes.flatMap((node) =>
    node.kind === "attention" ? [node.kvHeads * context * roundUp(node.headDim, 16) * 4] : [],
  );
  const begins: number[] = [];
  let bytes = 0;
  for (const size of sizes) {
    begins.push(bytes);
    bytes += 2 * size;
  }
  const place = (layer: number, part: "keys" | "values") =>
    begins[layer]! + (part === "keys" ? 0 : sizes[layer]!);
  return { place, bytes };
}

function stepWidths(steps: readonly (Step | DeviceStep)[]): ReadonlyMap<ValueId, number> {
  const widths = new Map<ValueId, number>();
  for (const step of steps) {
    switch (step.kind) {
      case "embed":
      case "norm":
      case "project":
        widths.set(step.output, step.width);
        break;
      case "basis":
        widths.set(step.output, step.k);
        break;
      case "factors":
        widths.set(step.output, factorPlaces(step.factors).width);
        // [16] f64 in the place of one row.
        if (step.squares !== null) widths.set(step.squares, 32);
        break;
      case "attend":
        widths.set(step.output, step.attention.heads * step.attention.headDim);
        break;
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

function valuesOf(call: KernelCall, widths: ReadonlyMap<ValueId, number>): ReadonlyMap<ValueId, number> {
  return new Map(
    call.operands.flatMap(({ operand }) =>
      operand.kind === "value" ? [[operand.id, widths.get(operand.id)!]] : [],
    ),
  );
}

/** Where calibration reads the inputs of linears: after the step that writes them. */
function taps(
  plan: Plan,
  steps: readonly (Step | DeviceStep)[],
  offsets: ReadonlyMap<ValueId, number>,
  widths: ReadonlyMap<ValueId, number>,
): Tap[] {
  return plan.groups.map(({ input }) => {
    const width = widths.get(input)!;
    const after = steps.findIndex((step) => "output" in step && step.output === input);
    return { value: input, after, offset: offsets.get(input)!, width, stride: strideOf(width) };
  });
}
