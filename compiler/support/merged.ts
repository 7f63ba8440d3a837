/**
 * The values of several sources as they come, of at most `limit` sources at a time; sources begin in their order. Where
 * one fails, or nobody wants more, the others are ended.
 */
export async function* merged<T>(
  sources: readonly (() => AsyncGenerator<T, void>)[],
  limit: number,
): AsyncGenerator<T, void> {
  interface Step {
    readonly source: AsyncGenerator<T, void>;
    readonly result: IteratorResult<T, void>;
  }
  const pending = new Map<AsyncGenerator<T, void>, Promise<Step>>();
  const running = new Set<AsyncGenerator<T, void>>();
  const advance = (source: AsyncGenerator<T, void>) =>
    pending.set(
      source,
      source.next().then((result) => ({ source, result })),
    );
  let begun = 0;
  try {
    for (;;) {
      while (begun < sources.length && pending.size < limit) {
        const source = sources[begun++]!();
        running.add(source);
        advance(source);
      }
      if (pending.size === 0) return;
      const { source, result } = await Promise.race(pending.values());
      pending.delete(source);
      if (result.done === true) running.delete(source);
      else {
        yield result.value;
        advance(source);
      }
    }
  } finally {
    // What still runs is not wanted any more, nor what it fails with.
    for (const step of pending.values()) step.catch(() => {});
    for (const source of running) source.return().catch(() => {});
  }
}
