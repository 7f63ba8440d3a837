import { type Instruction, isStream, loadedBytes, type Unit } from "./instructions.js";
import { innerLoops, type Loop, type Path } from "./path.js";
import { type FirstWeights, waitsIn } from "./waits.js";

/** A loop that multiplies by weights, or where a row is too short for one, the stretch that does. */
export interface WeightLoop {
  /** Weights that a lane multiplies by in one turn, and the bytes of them that are streamed. */
  readonly weights: number;
  readonly bytes: number;
  /** Instructions of a turn. */
  readonly vector: number;
  readonly matrix: number;
  readonly scalar: number;
  readonly lds: number;
  /** Round trips to memory of a turn. */
  readonly waits: number;
  /** Issue slots of a wave in a turn: what it would take if memory answered at once. A slot is four clocks. */
  readonly slots: number;
  /** Its instructions, in order. */
  readonly instructions: readonly Instruction[];
}

/** A loop that waits for memory in every turn and multiplies by no weights. */
export interface MemoryLoop {
  readonly waits: number;
  readonly slots: number;
}

/** Issue slots of a wave before it asks for its first weights, and while they are on their way. */
interface SlotsAround {
  readonly slotsBefore: number;
  readonly slotsMeanwhile: number;
}

/** What was counted in a kernel's code for one column. */
export interface MachineCounts {
  /** Round trips to memory, one after the other. */
  readonly waits: number;
  /** How the first weights come; null where none are read. */
  readonly first: (FirstWeights & SlotsAround) | null;
  /** Round trips behind their arrival in which a workgroup has no weights on the way. */
  readonly waitsBehind: number;
  readonly barriers: number;
  /** Issue slots of a wave, each loop once. */
  readonly slots: number;
  /** Bytes of weights that a lane has on the way, at most. */
  readonly inFlight: number;
  readonly weightLoops: readonly WeightLoop[];
  /** Other loops that wait for memory in every turn, such as attention's over positions. */
  readonly memoryLoops: readonly MemoryLoop[];
}

/** Counts what a path does. */
export function countPath(path: Path): MachineCounts {
  const { instructions } = path;
  const { first, all, inFlight, behind } = waitsIn(instructions);
  const of = ({ first, last }: Loop) => instructions.slice(first, last + 1);
  const inner = innerLoops(path).map(of);
  const looped = inner.filter((body) => body.some(isStream) && countOf(body, "barrier") === 0);
  return {
    waits: all,
    first: first && {
      ...first,
      slotsBefore: slotsIn(instructions.slice(0, first.asked)),
      slotsMeanwhile: slotsIn(instructions.slice(first.asked, first.arrived)),
    },
    waitsBehind: behind,
    barriers: countOf(instructions, "barrier"),
    slots: slotsIn(instructions),
    inFlight,
    weightLoops: withoutRests((looped.length > 0 ? looped : stretches(instructions)).map(weightLoop)),
    memoryLoops: inner
      .filter((body) => !body.some(isStream))
      .map((body) => ({ waits: waitsIn(body).all, slots: slotsIn(body) }))
      .filter(({ waits }) => waits > 0),
  };
}

/** Those that multiply by most weights: others are what is left at the end of a row. */
function withoutRests(loops: readonly WeightLoop[]): readonly WeightLoop[] {
  const most = Math.max(...loops.map(({ weights }) => weights));
  return loops.filter(({ weights }) => weights === most);
}

function countOf(instructions: readonly Instruction[], unit: Unit): number {
  return instructions.filter((one) => one.unit === unit).length;
}

function weightLoop(body: readonly Instruction[]): WeightLoop {
  const streams = body.filter(isStream);
  return {
    weights: weightsOf(body, streams),
    bytes: streams.reduce((sum, one) => sum + loadedBytes(one), 0),
    vector: countOf(body, "vector"),
    matrix: countOf(body, "matrix"),
    scalar: countOf(body, "scalar"),
    lds: countOf(body, "lds"),
    waits: waitsIn(body).all,
    slots: slotsIn(body),
    instructions: body,
  };
}

/**
 * Weights of a lane: for one column, a matrix instruction multiplies four of them, or two of f16, which are two bf16
 * numbers each, or four thirds of those of a table, which are three and are put together from bytes. Those of f16 and of
 * FP8 are converted from f16 one by one. Without matrix instructions they are f32.
 */
function weightsOf(body: readonly Instruction[], streams: readonly Instruction[]): number {
  const matrix = countOf(body, "matrix");
  if (matrix === 0) return streams.reduce((sum, one) => sum + loadedBytes(one) / 4, 0);
  const named = (start: string) => body.filter(({ name }) => name.startsWith(start)).length;
  const halves = named("v_cvt_f32_f16");
  if (halves > matrix && halves < 3 * matrix) return 2 * matrix;
  return named("v_perm_b32") > 4 * matrix ? (4 * matrix) / 3 : 4 * matrix;
}

function slotsIn(body: readonly Instruction[]): number {
  return body.reduce((sum, one) => sum + slotsOf(one), 0);
}

/** Issue slots of a wave. Quarter-rate instructions take four. */
function slotsOf({ unit, name, text }: Instruction): number {
  if (unit === "wait") return 0;
  if (name === "s_nop") return 1 + Number(/\d+/.exec(text.slice(name.length))?.[0] ?? 0);
  return unit === "vector" && /^v_(exp|log|rcp|rsq|sqrt|sin|cos|mul_lo_u32|mul_hi_u32|mul_hi_i32)/.test(name)
    ? 4
    : 1;
}

/**
 * What lies between barriers and exchanges of lanes and multiplies by weights, with the loads before it that ask for
 * them: rows without a loop of their own.
 */
function stretches(instructions: readonly Instruction[]): Instruction[][] {
  const found: Instruction[][] = [];
  let asked: Instruction[] = [];
  let current: Instruction[] = [];
  for (const one of instructions) {
    if (one.unit !== "barrier" && !/^ds_(swizzle|bpermute)/.test(one.name)) {
      current.push(one);
      continue;
    }
    const streams = [...asked, ...current.filter(isStream)];
    const multiplies = streams.length > 0 && isProduct(current, streams);
    if (multiplies) found.push([...asked, ...current]);
    asked = multiplies ? [] : streams;
    current = [];
  }
  return found;
}

/** Whether a run multiplies by weights: by matrix instructions, or by one multiply-add for each that is f32. */
function isProduct(run: readonly Instruction[], streams: readonly Instruction[]): boolean {
  const adds = run.filter(({ name }) => /^v_(pk_)?fmac?_f32/.test(name)).length;
  return countOf(run, "matrix") > 0 || adds >= streams.reduce((sum, one) => sum + loadedBytes(one) / 4, 0);
}
