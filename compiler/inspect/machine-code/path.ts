import type { Instruction } from "./instructions.js";

/** What a wave runs through where it finds work: every instruction once, in order. */
export interface Path {
  readonly instructions: readonly Instruction[];
  /** Loops by the places of their first and last instruction in it, those that hold others among them. */
  readonly loops: readonly Loop[];
}

/** Places in a path. */
export interface Loop {
  readonly first: number;
  readonly last: number;
}

/**
 * Follows the code from its first instruction: jumps are taken, branches forwards are not (they skip what there is no
 * work for), and a branch back ends a loop. Code that a kernel holds for other numbers of columns must not be there.
 */
export function pathOf(code: readonly Instruction[]): Path {
  const index = new Map(code.map(({ address }, i) => [address, i]));
  const places = new Map<number, number>();
  const instructions: Instruction[] = [];
  const loops: Loop[] = [];
  let at = 0;
  while (at < code.length && !places.has(at)) {
    const one = code[at]!;
    const last = instructions.push(one) - 1;
    places.set(at, last);
    if (one.name === "s_endpgm") return { instructions, loops };
    const target = one.target === null ? undefined : index.get(one.target);
    const first = target === undefined ? undefined : places.get(target);
    if (first !== undefined && one.name !== "s_branch") loops.push({ first, last });
    at = one.name === "s_branch" && target !== undefined ? target : at + 1;
  }
  const first = places.get(at);
  if (first !== undefined) loops.push({ first, last: instructions.length - 1 });
  return { instructions, loops };
}

/** The loops that hold no other. */
export function innerLoops({ loops }: Path): readonly Loop[] {
  const holds = (a: Loop, b: Loop) => a !== b && a.first <= b.first && b.last <= a.last;
  return loops.filter((loop) => !loops.some((other) => holds(loop, other)));
}
