import type { Target } from "../config/target.js";
import { emitterFor } from "../emit/devices.js";
import type { Emitter } from "../emit/emitter.js";
import type { ProjectionDivision } from "../emit/gpu/projection-divisions.js";
import { roundsCache } from "../ir/cache.js";
import { densePlan, planGates } from "../ir/forms.js";
import type { Graph, ValueId } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import {
  type Kernel,
  type LinearCall,
  type Program,
  type ProgramMode,
  type Tap,
  verifying,
} from "../ir/program.js";
import type { DeviceStep, Step } from "../ir/steps.js";
import { strideOf } from "../layout/stride.js";
import { withDraftCaches } from "../lower/draft-caches.js";
import { callableLinears, callSteps, type ProjectStep } from "../lower/linears.js";
import { lower } from "../lower/lower.js";
import { withScreenedHead } from "../lower/screen.js";
import type { ListedCall, Listing } from "../report/program-json.js";
import { cacheLayout } from "./cache-layout.js";
import { KernelTable } from "./kernel-table.js";
import { listLaunches } from "./listing.js";
import { counterBytes, Memory, stepWidths } from "./memory.js";
import type { PackedWeights } from "./weights-section.js";

/** Everything that the bundle needs besides weights and machine code. */
export interface Schedule {
  readonly kernels: readonly Kernel[];
  /** How each kernel divides its projections among waves; none on CPUs. */
  readonly divisions: readonly (readonly ProjectionDivision[])[];
  /** By mode, or by the name of the variant. */
  readonly programs: Readonly<Record<string, Program>>;
  /** What each program was made from. */
  readonly steps: Readonly<Record<string, ProgramSteps>>;
  /** The programs with the names of what their launches refer to. */
  readonly listings: Readonly<Record<string, Listing>>;
  readonly weights: PackedWeights;
  readonly arenaBytes: number;
  /** Of the largest block of the KV cache that a program takes. */
  readonly cacheBytes: number;
  readonly counterBytes: number;
}

/** The steps of a pass, as they were lowered, and as a GPU runs them. */
interface ProgramSteps {
  readonly steps: readonly Step[];
  /** Null on CPUs, which run them as they were lowered. */
  readonly deviceSteps: readonly DeviceStep[] | null;
}

/** What programs hold besides the launches of a pass. */
interface ScheduleOptions {
  /** True: also the launches that compute each linear alone. Default: false. */
  readonly linears?: boolean;
  /** True: also the launches that find the largest logit without all of the head, where there are such. Default: false. */
  readonly screenedHead?: boolean;
}

/**
 * Turns a plan into launches, one program per mode; in `exact` mode every linear is dense, whatever the plan says. Where the
 * plan's cache rounds, lossless mode has a program of its own besides, `verifying`: exact mode's, which also leaves keys and
 * values as drafts read them.
 */
export function schedule(
  plan: Plan,
  modes: readonly ProgramMode[],
  target: Target,
  options: ScheduleOptions = {},
): Schedule {
  const dense = densePlan(plan);
  const variants: Variant[] = modes.map((name) => ({ name, plan: name === "exact" ? dense : plan }));
  const drafts = modes.length > 1 && roundsCache(plan.graph);
  const all = drafts ? [...variants, { name: verifying, plan: dense, drafts: plan.graph }] : variants;
  return scheduleAll(all, target, options);
}

/** A program to be, under a name. */
export interface Variant {
  readonly name: string;
  readonly plan: Plan;
  /** The graph of the program whose drafts this one verifies, where their caches differ. */
  readonly drafts?: Graph | null;
}

/** Turns plans of one graph into launches, a program each; all share kernels, weights and arena. */
export function scheduleAll(
  variants: readonly Variant[],
  target: Target,
  { linears = false, screenedHead = false }: ScheduleOptions = {},
): Schedule {
  const shared: Shared = {
    emitter: emitterFor(target),
    graph: variants[0]!.plan.graph,
    kernels: new KernelTable(target.dialect),
    memory: new Memory(variants[0]!.plan.graph, target.device),
    screenedHead: screenedHead && target.device === "cpu",
  };
  const passes = variants.map((variant) => schedulePass(variant, shared));
  // Behind all passes, which so have the same kernels and places with and without them.
  const scheduled = passes.map(({ name, program, listing, projections, counters }) => {
    const calls = linears ? projections.map((step) => scheduleCall(step, counters, shared)) : [];
    return {
      name,
      program: { ...program, linears: calls.map(({ call }) => call) },
      listing: { ...listing, linears: calls.map(({ listed }) => listed) },
    };
  });
  const { kernels, memory } = shared;
  for (const call of shared.emitter.unlaunched) kernels.index(call);
  const gates = Math.max(0, ...passes.map(({ counters }) => counters.size));
  const programs = Object.fromEntries(scheduled.map(({ name, program }) => [name, program]));
  return {
    kernels: kernels.kernels,
    divisions: kernels.divisions,
    programs,
    steps: Object.fromEntries(passes.map(({ name, steps }) => [name, steps])),
    listings: Object.fromEntries(scheduled.map(({ name, listing }) => [name, listing])),
    weights: memory.weights,
    arenaBytes: memory.arenaBytes,
    cacheBytes: Math.max(...Object.values(programs).map(({ cacheBytes }) => cacheBytes)),
    counterBytes: Math.max(counterBytes * gates, 64),
  };
}

/** What the programs of a schedule share. */
interface Shared {
  readonly emitter: Emitter;
  readonly graph: Graph;
  readonly kernels: KernelTable;
  readonly memory: Memory;
  readonly screenedHead: boolean;
}

/** A variant's pass, and what its linears alone are scheduled from. */
function schedulePass({ name, plan, drafts = null }: Variant, shared: Shared) {
  const { emitter, graph, kernels, memory } = shared;
  const whole = drafts === null ? lower(plan) : withDraftCaches(lower(plan), drafts);
  const lowered = shared.screenedHead ? withScreenedHead(whole) : whole;
  const cache = cacheLayout({ ...plan.graph, context: graph.context }, drafts);
  const { steps, deviceSteps, calls } = emitter.emit(lowered, graph.context);
  const counters = new Map(planGates(plan).map((gate, index) => [gate.name, counterBytes * index]));
  const widths = stepWidths(steps);
  const { offsets, resolve, bytesOf } = memory.place(calls, widths, counters, cache);
  const launches = calls.map((call) => kernels.launch(call, resolve));
  const headAt = steps.findIndex((step) => step.kind === "project" && step.head);
  const screenAt = steps.findIndex(({ kind }) => kind === "screen");
  const end = screenAt < 0 ? launches.length : screenAt;
  const program = {
    body: launches.slice(0, headAt),
    head: launches.slice(headAt, end),
    ...(screenAt >= 0 && { screened: launches.slice(screenAt) }),
    logits: { offset: offsets.get(graph.output)!, stride: strideOf(graph.vocabulary) },
    greedy: greedyOf(steps, offsets),
    cacheBytes: cache.bytes,
    taps:
      emitter.keepsInputs && (name === "exact" || drafts !== null) ? taps(plan, steps, offsets, widths) : [],
    gates: [...counters.keys()],
  };
  return {
    name,
    program,
    counters,
    steps: { steps: lowered, deviceSteps },
    listing: listLaunches(
      { steps, calls: calls.slice(0, end), launches, kernels: kernels.kernels, bytesOf },
      headAt,
    ),
    projections: lowered.filter((step) => step.kind === "project"),
  };
}

/** The launches that compute the linears of a projection alone, in an arena of their own, and their listing. */
function scheduleCall(
  step: ProjectStep,
  counters: ReadonlyMap<string, number>,
  { emitter, graph, kernels, memory }: Shared,
): { readonly call: LinearCall; readonly listed: ListedCall } {
  const { steps, calls } = emitter.emit(callSteps(step, emitter), graph.context);
  const { linears, width } = callableLinears(step);
  const widths = new Map([...stepWidths(steps), [step.input, step.d]]);
  const { offsets, resolve, bytesOf } = memory.place(calls, widths, counters, cacheLayout(graph));
  const launches = calls.map((call) => kernels.launch(call, resolve));
  const block = (id: ValueId, used: number) => ({
    offset: offsets.get(id)!,
    width: used,
    stride: strideOf(used),
  });
  const call = {
    input: step.input,
    linears,
    x: block(step.input, step.d),
    y: block(step.output, width),
    launches,
  };
  const listed = listLaunches({ steps, calls, launches, kernels: kernels.kernels, bytesOf }, calls.length);
  return { call, listed: { ...call, launches: listed.body } };
}

/** Where the step that chooses a token leaves it; null without one. */
function greedyOf(steps: readonly (Step | DeviceStep)[], offsets: ReadonlyMap<ValueId, number>) {
  const choose = steps.find((step) => step.kind === "choose");
  return choose === undefined ? null : { offset: offsets.get(choose.output)! };
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
