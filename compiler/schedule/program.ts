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
  LinearCall,
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
import { callableLinears, callSteps, type ProjectStep } from "./linears.js";
import { type ListedCall, type Listing, listLaunches } from "./listing.js";
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

/** What programs hold besides the launches of a pass. */
export interface ScheduleOptions {
  /** True: also the launches that compute each linear alone. Default: false. */
  readonly linears?: boolean;
}

/** Turns a plan into launches, one program per mode; in `exact` mode every linear is dense, whatever the plan says. */
export function schedule(
  plan: Plan,
  modes: readonly ProgramMode[],
  target: Target,
  options: ScheduleOptions = {},
): Schedule {
  return scheduleAll(
    modes.map((mode) => ({ name: mode, plan: mode === "exact" ? densePlan(plan) : plan })),
    target,
    options,
  );
}

/** A program to be, under a name. */
export interface Variant {
  readonly name: string;
  readonly plan: Plan;
}

/** Turns plans of one graph into launches, a program each; all share kernels, weights and arena. */
export function scheduleAll(
  variants: readonly Variant[],
  target: Target,
  { linears = false }: ScheduleOptions = {},
): Schedule {
  const { graph } = variants[0]!.plan;
  const { context } = graph;
  const kernels = new KernelTable(target.dialect);
  const weights = new WeightLayout(target.device, context);
  const cache = cacheLayout(graph, context);
  const programs: Record<string, Program> = {};
  const listings: Record<string, Listing> = {};
  let arenaBytes = 0;
  let gates = 0;
  /** Where operands lie, given the places of a program's values and counters. */
  const memory =
    (offsets: ReadonlyMap<ValueId, number>, counters: ReadonlyMap<string, number>) =>
    (operand: Operand): Argument => {
      switch (operand.kind) {
        case "step":
          return { buffer: "step", offset: 0 };
        case "value":
          return { buffer: "arena", offset: offsets.get(operand.id)! };
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
  const sizes =
    (widths: ReadonlyMap<ValueId, number>, resolve: (operand: Operand) => Argument) =>
    (operand: Operand): number | null => {
      if (operand.kind === "value") return maxColumns * strideOf(widths.get(operand.id)!) * 4;
      const { buffer, offset } = resolve(operand);
      return buffer === "weights" ? weights.bytesAt(offset) : null;
    };
  /** The launches that compute the linears of a projection alone, in an arena of their own. */
  const linearCall = (step: ProjectStep, counters: ReadonlyMap<string, number>): ScheduledCall => {
    const { steps, calls } = callsOf(callSteps(step, target.device), context, target);
    const { linears: computed, width } = callableLinears(step);
    const widths = new Map([...stepWidths(steps), [step.input, step.d]]);
    const arena = placeValues(calls.map((call) => ({ values: valuesOf(call, widths) })));
    arenaBytes = Math.max(arenaBytes, arena.bytes);
    const resolve = memory(arena.offsets, counters);
    const launches = calls.map((call) => kernels.launch(call, resolve));
    const block = (id: ValueId, used: number) => ({
      offset: arena.offsets.get(id)!,
      width: used,
      stride: strideOf(used),
    });
    const found = {
      input: step.input,
      linears: computed,
      x: block(step.input, step.d),
      y: block(step.output, width),
      launches,
    };
    const listed = listLaunches(calls, launches, kernels.kernels, calls.length, sizes(widths, resolve));
    return { call: found, listed: { ...found, launches: listed.body } };
  };
  const alone: (() => void)[] = [];
  for (const { name, plan } of variants) {
    const lowered = lower(plan);
    const { steps, calls } = callsOf(lowered, context, target);
    const counters = new Map(planGates(plan).map((gate, index) => [gate.name, 16 * index]));
    gates = Math.max(gates, counters.size);
    const widths = stepWidths(steps);
    const arena = placeValues(calls.map((call) => ({ values: valuesOf(call, widths) })));
    arenaBytes = Math.max(arenaBytes, arena.bytes);
    const resolve = memory(arena.offsets, counters);
    const launches = calls.map((call) => kernels.launch(call, resolve));
    const bytesOf = sizes(widths, resolve);
    const headAt = steps.findIndex((step) => step.kind === "project" && step.head);
    const listing = listLaunches(calls, launches, kernels.kernels, headAt, bytesOf);
    listings[name] = { ...listing, linears: [] };
    const program = {
      body: launches.slice(0, headAt),
      head: launches.slice(headAt),
      logits: {
        offset: arena.offsets.get(graph.output)!,
        stride: strideOf(graph.vocabulary),
      },
      greedy: greedyOf(steps, arena.offsets),
      taps: target.device === "cpu" && name === "exact" ? taps(plan, steps, arena.offsets, widths) : [],
      linears: [],
      tiers: [...counters.keys()],
    };
    programs[name] = program;
    const projections = linears ? lowered.filter((step) => step.kind === "project") : [];
    alone.push(() => {
      const scheduled = projections.map((step) => linearCall(step, counters));
      programs[name] = { ...program, linears: scheduled.map(({ call }) => call) };
      listings[name] = { ...listing, linears: scheduled.map(({ listed }) => listed) };
    });
  }
  // Behind all passes, which so have the same kernels and places with and without them.
  for (const add of alone) add();
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

/** The launches of one call, and their listing. */
interface ScheduledCall {
  readonly call: LinearCall;
  readonly listed: ListedCall;
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

  launch(call: KernelCall, resolve: (operand: Operand) => Argument): Launch {
    return { kernel: this.index(call), arguments: call.operands.map(({ operand }) => resolve(operand)) };
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
