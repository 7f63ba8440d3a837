import { Readable } from "node:stream";
import { apiErrorOf } from "./errors.js";

/** What a reader that takes nothing for too long is told, if it still listens. */
class ReaderStalled extends Error {
  constructor(seconds: number) {
    super(`the reader took nothing for ${seconds} s`);
  }
}

/**
 * Server-sent events, one per value, closed by `[DONE]`. The next value is asked for when the reader has taken the last
 * ones; a reader that takes none for `stall` seconds makes `abort` be called. An error becomes the last event, after
 * `failed` was told.
 */
export function eventStream(
  values: AsyncIterable<object>,
  options: {
    readonly stall: number;
    readonly abort: (reason: Error) => void;
    readonly failed: (error: unknown) => void;
  },
): Readable {
  // Bytes, not objects, so that the mark counts bytes: a few events are made ahead of the reader.
  return Readable.from(events(values, options), { objectMode: false, highWaterMark: 4096 });
}

async function* events(
  values: AsyncIterable<object>,
  { stall, abort, failed }: Parameters<typeof eventStream>[1],
): AsyncGenerator<Buffer, void> {
  const send = async function* (data: string) {
    const timer = setTimeout(() => abort(new ReaderStalled(stall)), 1000 * stall);
    try {
      yield Buffer.from(`data: ${data}\n\n`);
    } finally {
      clearTimeout(timer);
    }
  };
  try {
    for await (const value of values) yield* send(JSON.stringify(value));
  } catch (error) {
    failed(error);
    yield* send(JSON.stringify(apiErrorOf(error).body()));
  }
  yield* send("[DONE]");
}
