import { type Instruction, isStream, loadedBytes } from "./instructions.js";

/** What a run of instructions waits for. */
interface Waits {
  /** Round trips to memory, one after the other, in all. */
  readonly all: number;
  /** The most bytes of weights that a lane has on the way. */
  readonly inFlight: number;
  /** Of the first weights; null without weights. */
  readonly first: FirstWeights | null;
  /** Round trips behind their arrival in which a workgroup has no weights on the way. */
  readonly behind: number;
}

/** How the first weights come. */
export interface FirstWeights {
  /** The instructions that ask for them, and that have waited for them. */
  readonly asked: number;
  readonly arrived: number;
  /** Round trips before they are asked for, and for other things while they are on their way. */
  readonly before: number;
  readonly meanwhile: number;
  /** Barriers that are passed while they are on their way. */
  readonly barriers: number;
  /** Bytes of weights that a lane has on the way when the first are there. */
  readonly bytes: number;
}

interface Flying {
  /** Round trips that were over when it was issued, and barriers. */
  readonly issued: number;
  readonly barriers: number;
  readonly isLoad: boolean;
  /** Bytes of weights. */
  readonly bytes: number;
}

/**
 * Follows the counters of memory operations. Loads that are issued together come back together: a wait for one is a
 * round trip more only if the load was issued behind the last one. A trip that brings weights, and what was asked for
 * beside them, is covered by other waves unless all of them begin it behind a barrier, with no weights on the way.
 */
export function waitsIn(instructions: readonly Instruction[]): Waits {
  let [all, inFlight, barriers, behind, meanwhile] = [0, 0, 0, 0, 0];
  let asked: Pick<FirstWeights, "asked" | "before" | "barriers"> | null = null;
  let first: FirstWeights | null = null;
  // The last barrier behind which weights came that had been asked for.
  let served = -1;
  const vector: Flying[] = [];
  const scalar: Flying[] = [];
  const wait = (queue: Flying[], left: number, place: number) => {
    const onTheWay = sumOf(vector);
    const came = queue.splice(0, Math.max(0, queue.length - left)).filter(({ isLoad }) => isLoad);
    const weights = came.filter(({ bytes }) => bytes > 0);
    const trip = Math.max(all, ...came.map(({ issued }) => issued + 1));
    const isCovered =
      weights.some(({ issued }) => issued + 1 === trip) &&
      (first === null || served === barriers || weights.some((one) => one.barriers < barriers));
    if (trip > all && !isCovered && asked !== null) {
      if (first === null) meanwhile++;
      else behind++;
    }
    all = trip;
    if (weights.length === 0) return;
    served = barriers;
    first ??= { ...asked!, barriers: barriers - asked!.barriers, arrived: place, meanwhile, bytes: onTheWay };
  };
  for (const [place, one] of instructions.entries()) {
    switch (one.unit) {
      case "load":
        if (isStream(one)) asked ??= { asked: place, before: all, barriers };
        vector.push({ issued: all, barriers, isLoad: true, bytes: isStream(one) ? loadedBytes(one) : 0 });
        inFlight = Math.max(inFlight, sumOf(vector));
        break;
      case "store":
        vector.push({ issued: all, barriers, isLoad: false, bytes: 0 });
        break;
      case "scalar-load":
      case "lds":
        scalar.push({ issued: all, barriers, isLoad: one.unit === "scalar-load", bytes: 0 });
        break;
      case "barrier":
        barriers++;
        break;
      case "wait": {
        const counter = (name: string) => new RegExp(`${name}\\((\\d+)\\)`).exec(one.text)?.[1];
        const [memory, other] = [counter("vmcnt"), counter("lgkmcnt")];
        if (memory !== undefined) wait(vector, Number(memory), place);
        if (other !== undefined) wait(scalar, Number(other), place);
        break;
      }
      default:
    }
  }
  return { all, inFlight, first, behind };
}

function sumOf(flying: readonly Flying[]): number {
  return flying.reduce((sum, { bytes }) => sum + bytes, 0);
}
