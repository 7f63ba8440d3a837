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
 * work for), and a branch back ends a loop. Where a jump closes a loop, the way goes on where the first branch in it
 * leaves it. Code that a kernel holds for other numbers of columns must not be there. Where parameters are preloaded, what
 * loads them for firmware that cannot do so is left out.
 */
export function pathOf(code: readonly Instruction[]): Path {
  const index = new Map(code.map(({ address }, i) => [address, i]));
  const places = new Map<number, number>();
  const instructions: Instruction[] = [];
  const loops: Loop[] = [];
  const skipped: { readonly place: number; readonly target: number }[] = [];
  let at: number | undefined = beginOf(code);
  while (at !== undefined && at < code.length) {
    const first = places.get(at);
    if (first !== undefined) {
      loops.push({ first, last: instructions.length - 1 });
      at = skipped.find(({ place, target }) => place >= first && !places.has(target))?.target;
      continue;
    }
    const one: Instruction = code[at]!;
    const last = instructions.push(one) - 1;
    places.set(at, last);
    if (one.name === "s_endpgm") break;
    const target: number | undefined = one.target === null ? undefined : index.get(one.target);
    const back = target === undefined ? undefined : places.get(target);
    if (one.name === "s_branch" && target !== undefined) at = target;
    else {
      if (back !== undefined) loops.push({ first: back, last });
      else if (target !== undefined) skipped.push({ place: last, target });
      at++;
    }
  }
  return { instructions, loops };
}

/** Bytes of a kernel before the instruction that preloading firmware begins with. */
const preloadBytes = 256;

/** The index of a kernel's first instruction, behind what loads parameters where firmware has not. */
function beginOf(code: readonly Instruction[]): number {
  const jump = code.findIndex(({ unit }) => unit !== "scalar-load" && unit !== "wait");
  const first = code[0]?.address ?? 0;
  if (code[jump]?.target !== first + preloadBytes) return 0;
  return code.findIndex(({ address }) => address === first + preloadBytes);
}

/** The loops that hold no other. */
export function innerLoops({ loops }: Path): readonly Loop[] {
  const holds = (a: Loop, b: Loop) => a !== b && a.first <= b.first && b.last <= a.last;
  return loops.filter((loop) => !loops.some((other) => holds(loop, other)));
}
