import { type Instruction, isStream, loadedBytes } from "./instructions.js";

/** What a run of instructions waits for. */
interface Waits {
  /** Round trips to memory, one after the other, before the first weight is on its way; null without weights. */
  readonly before: number | null;
  /** In all. */
  readonly all: number;
  /** The most bytes of weights that a lane has on the way. */
  readonly inFlight: number;
}

interface Flying {
  /** Round trips that were over when it was issued. */
  readonly issued: number;
  readonly isLoad: boolean;
  readonly bytes: number;
}

/**
 * Follows the counters of memory operations. Loads that are issued together come back together: a wait for one is a
 * round trip more only if the load was issued behind the last one.
 */
export function waitsIn(instructions: readonly Instruction[]): Waits {
  let [all, inFlight] = [0, 0];
  let before: number | null = null;
  const vector: Flying[] = [];
  const scalar: Flying[] = [];
  const wait = (queue: Flying[], left: number) => {
    for (const { isLoad, issued } of queue.splice(0, Math.max(0, queue.length - left)))
      if (isLoad) all = Math.max(all, issued + 1);
  };
  for (const one of instructions) {
    switch (one.unit) {
      case "load":
        if (isStream(one)) before ??= all;
        vector.push({ issued: all, isLoad: true, bytes: isStream(one) ? loadedBytes(one) : 0 });
        inFlight = Math.max(
          inFlight,
          vector.reduce((sum, { bytes }) => sum + bytes, 0),
        );
        break;
      case "store":
        vector.push({ issued: all, isLoad: false, bytes: 0 });
        break;
      case "scalar-load":
      case "lds":
        scalar.push({ issued: all, isLoad: one.unit === "scalar-load", bytes: 0 });
        break;
      case "wait": {
        const counter = (name: string) => new RegExp(`${name}\\((\\d+)\\)`).exec(one.text)?.[1];
        const [memory, other] = [counter("vmcnt"), counter("lgkmcnt")];
        if (memory !== undefined) wait(vector, Number(memory));
        if (other !== undefined) wait(scalar, Number(other));
        break;
      }
      default:
    }
  }
  return { before, all, inFlight };
}
