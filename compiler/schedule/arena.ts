import type { ValueId } from "../ir/graph.js";
import { alignment, maxColumns, strideOf } from "../layout/stride.js";

/** When a value is first written and last read, as launch numbers. */
interface Lifetime {
  readonly id: ValueId;
  readonly width: number;
  first: number;
  last: number;
}

/** Places values in the arena so that two overlap only if their lifetimes do not. First fit, in order of birth. */
export function placeValues(launches: readonly { readonly values: ReadonlyMap<ValueId, number> }[]) {
  const lifetimes = new Map<ValueId, Lifetime>();
  launches.forEach(({ values }, number) => {
    for (const [id, width] of values) {
      const known = lifetimes.get(id);
      if (known === undefined) lifetimes.set(id, { id, width, first: number, last: number });
      else known.last = number;
    }
  });
  const placed: (Lifetime & { offset: number; bytes: number })[] = [];
  for (const lifetime of [...lifetimes.values()].sort((a, b) => a.first - b.first)) {
    const bytes = maxColumns * strideOf(lifetime.width) * 4;
    const alive = placed
      .filter((other) => other.last >= lifetime.first && other.first <= lifetime.last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const other of alive) {
      if (offset + bytes <= other.offset) break;
      offset = Math.max(offset, other.offset + other.bytes);
    }
    placed.push({ ...lifetime, offset, bytes });
  }
  const offsets = new Map(placed.map(({ id, offset }) => [id, offset]));
  const bytes = placed.reduce((most, { offset, bytes: size }) => Math.max(most, offset + size), alignment);
  return { offsets, bytes };
}
