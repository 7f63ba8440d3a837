/** Many requests at once in Node: passes take tokens of several texts together, and read the weights once for all. */

import { AsyncQueue } from "./support/async-queue.js";
import { type GenerateOptions, noLimit, samplingOf, type Token } from "./tokens.js";

/** How a batch is opened. */
export interface BatchOptions<Mode extends string = string> {
  /** Default: the bundle's first. */
  readonly mode?: Mode | undefined;
  /** Bytes of the KV caches of all texts together; default: sixteen contexts, but at most a quarter of the memory. */
  readonly cacheBytes?: number | undefined;
}

/** What a request of a batch asks for. */
export interface BatchedOptions extends GenerateOptions {
  /** Ids that end the text, besides the model's end of text. */
  readonly stopIds?: Int32Array | undefined;
  /** Whether tokens come with their log-probabilities; default false. */
  readonly logProbabilities?: boolean | undefined;
}

/** Why a text ended: as many tokens as were asked for, its end, or the context's. */
export type Ending = "limit" | "text" | "context";

/** How a batch is doing; `gsic_batch_counts` of runtime/include/gsic.h says what each is. */
export interface BatchCounts {
  readonly waiting: number;
  readonly reading: number;
  readonly writing: number;
  readonly paused: number;
  readonly passes: number;
  readonly columns: number;
  readonly promptTokens: number;
  readonly generatedTokens: number;
  readonly sharedTokens: number;
  readonly proposedTokens: number;
  readonly acceptedTokens: number;
  readonly preempted: number;
  readonly blocks: number;
  readonly blocksHeld: number;
  readonly blocksKept: number;
  readonly blocksEvicted: number;
}

/** runtime/addon/batch_runner.h: a token's id, text and log-probability, or an end with the code and message of a failure. */
export type NativeBatchEvent = (
  ticket: number,
  idOrEnd: number | string,
  textOrCode: string | null,
  logProbabilityOrMessage: number | string | null,
) => void;

/** runtime/addon/batch_object.h. */
export interface NativeBatch {
  submit(
    ids: Int32Array,
    stop: Int32Array,
    limit: number,
    sampling: object,
    logProbabilities: boolean,
  ): number;
  cancel(ticket: number): void;
  taken(ticket: number): void;
  counts(): BatchCounts;
  dispose(): void;
}

const none = new Int32Array(0);

/**
 * Requests that share passes. What each gets is, bit for bit, what a session of its own would give it, whoever else is
 * there. Texts that begin alike share what the KV cache has of them.
 */
export class Batch {
  readonly #native: NativeBatch;
  readonly #requests: Map<number, Request>;

  private constructor(native: NativeBatch, requests: Map<number, Request>) {
    this.#native = native;
    this.#requests = requests;
  }

  /** Only by `Model.batch`. */
  static async open(open: (onEvent: NativeBatchEvent) => Promise<NativeBatch>): Promise<Batch> {
    // The addon holds the events' function, so that must not hold the batch, which ends when it is collected.
    const requests = new Map<number, Request>();
    const native = await open((ticket, first, second, third) => {
      const request = requests.get(ticket);
      if (typeof first === "number")
        request?.queue.push({ id: first, text: second ?? "", logProbability: Number(third) });
      else request?.finish(first, second, String(third));
    });
    return new Batch(native, requests);
  }

  /**
   * Generates behind a prompt; returns why the text ended. Leaving the loop, or an abort, ends the request. A reader that
   * takes no tokens pauses its own text alone.
   */
  async *generate(
    prompt: Int32Array,
    options: BatchedOptions = {},
  ): AsyncGenerator<Token, Ending, undefined> {
    const { tokens = noLimit, stopIds = none, logProbabilities = false, signal } = options;
    signal?.throwIfAborted();
    const ticket = this.#native.submit(prompt, stopIds, tokens, samplingOf(options), logProbabilities);
    const request = new Request();
    this.#requests.set(ticket, request);
    const stop = () => this.#native.cancel(ticket);
    signal?.addEventListener("abort", stop);
    try {
      for (let token = await request.queue.next(); token !== null; token = await request.queue.next()) {
        signal?.throwIfAborted();
        this.#native.taken(ticket);
        const { id, text } = token;
        yield logProbabilities ? token : { id, text };
      }
      signal?.throwIfAborted();
      return request.ending;
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#native.cancel(ticket);
      this.#requests.delete(ticket);
    }
  }

  /** How many requests and tokens there are and were. */
  counts(): BatchCounts {
    return this.#native.counts();
  }

  /** Ends all requests, which fail with GSIC_DISPOSED, and frees the batch when the pass that runs has ended. */
  dispose(): void {
    this.#native.dispose();
  }
}

/** A request that has not ended. */
class Request {
  readonly queue = new AsyncQueue<Token>();
  ending: Ending = "limit";

  finish(end: string, code: string | null, message: string): void {
    if (code !== null) this.queue.end(Object.assign(new Error(message), { code }));
    else {
      if (end !== "cancelled") this.ending = end as Ending;
      this.queue.end();
    }
  }
}
