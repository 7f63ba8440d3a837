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
  /** Whether tokens come with their log-probabilities; default false. The token that ends the text comes, too, then. */
  readonly logProbabilities?: boolean | undefined;
  /** With them, how many likeliest tokens come in each place; default 0. */
  readonly alternatives?: number | undefined;
  /** With them, whether the prompt's tokens come first; default false. `tokens` may be 0 then. */
  readonly scorePrompt?: boolean | undefined;
  /** Says what the text may be. */
  readonly constraint?: Constraint | undefined;
}

/** What may come next in a text. */
export interface NextTokens {
  /**
   * A bit for each token: of token i, bit i % 32 of number i / 32. One is set at least. Behind them such numbers again
   * for what may come behind each token of `ahead`.
   */
  readonly masks: Int32Array;
  /** Tokens that the text is bound, or likely, to go on with: they are proposed together. */
  readonly ahead: Int32Array;
}

/**
 * Says what a text may be, from the tokens that were generated. It is asked about the empty text, and then about each
 * that goes on from the last one. If it fails, so does the request.
 */
export type Constraint = (ids: Int32Array) => NextTokens | Promise<NextTokens>;

/** How a text ended. */
export interface Ending {
  /** As many tokens as were asked for, its end, or the context's. */
  readonly reason: "limit" | "text" | "context";
  /** Drafts of this text, and those of them that the exact weights accepted; zeros in modes that draft nothing. */
  readonly proposedTokens: number;
  readonly acceptedTokens: number;
}

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

/** runtime/addon/sampling.h: what is told of a token. */
interface NativeTold {
  readonly logProbability: number;
  readonly ofPrompt: boolean;
  readonly ends: boolean;
  readonly ids: Int32Array;
  readonly logProbabilities: Float32Array;
}

/** runtime/addon/batch_runner.h: a token's id, text and what is told, or an end with the code and message of a failure. */
export type NativeBatchEvent = (
  ticket: number,
  idOrEnd: number | string,
  textOrCode: string | null,
  toldOrMessage: NativeTold | string | null,
  asksOrProposed: boolean | number,
  accepted?: number,
) => void;

/** runtime/addon/batch_object.h. */
export interface NativeBatch {
  submit(
    ids: Int32Array,
    stop: Int32Array,
    limit: number,
    sampling: object,
    told: {
      readonly logProbabilities: boolean;
      readonly alternatives: number;
      readonly scorePrompt: boolean;
    },
    constrained: boolean,
  ): number;
  allow(ticket: number, generated: number, masks: Int32Array, ahead: Int32Array): void;
  cancel(ticket: number): void;
  taken(ticket: number): void;
  counts(): BatchCounts;
  saveCache(path: string): Promise<number>;
  loadCache(path: string): Promise<number>;
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
    const native = await open((ticket, first, second, third, fourth, accepted) => {
      const request = requests.get(ticket);
      if (typeof first === "number")
        request?.take(tokenOf(first, second ?? "", third as NativeTold | null), fourth === true);
      else {
        request?.noteDrafts(Number(fourth), accepted ?? 0);
        request?.finish(first, second, String(third));
      }
    });
    return new Batch(native, requests);
  }

  /**
   * Generates behind a prompt; returns how the text ended. Leaving the loop, or an abort, ends the request. A reader that
   * takes no tokens pauses its own text alone.
   */
  async *generate(
    prompt: Int32Array,
    options: BatchedOptions = {},
  ): AsyncGenerator<Token, Ending, undefined> {
    const { tokens = noLimit, stopIds = none, signal } = options;
    const { logProbabilities = false, alternatives = 0, scorePrompt = false } = options;
    signal?.throwIfAborted();
    const told = { logProbabilities, alternatives, scorePrompt };
    const { constraint } = options;
    const constrained = constraint !== undefined;
    const ticket = this.#native.submit(prompt, stopIds, tokens, samplingOf(options), told, constrained);
    const request = new Request(constraint && new Question(this.#native, ticket, constraint));
    this.#requests.set(ticket, request);
    request.ask();
    const stop = () => this.#native.cancel(ticket);
    signal?.addEventListener("abort", stop);
    try {
      for (let token = await request.queue.next(); token !== null; token = await request.queue.next()) {
        signal?.throwIfAborted();
        if (!token.ofPrompt && !token.ends) this.#native.taken(ticket);
        yield token;
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

  /**
   * Writes what the KV cache holds of texts, ended ones too, to a file, which takes the place of an earlier one when it is
   * whole; resolves with how many tokens that are. Only the file's owner may read it. Rejects with GSIC_IO.
   */
  async saveCache(path: string): Promise<number> {
    return this.#native.saveCache(path);
  }

  /**
   * Reads such a file, before the first request, as much as there is room for; resolves with how many tokens. Rejects with
   * GSIC_BAD_BUNDLE where it is cut, damaged, or of another build, target or mode, and with GSIC_IO.
   */
  async loadCache(path: string): Promise<number> {
    return this.#native.loadCache(path);
  }

  /** Ends all requests, which fail with GSIC_DISPOSED, and frees the batch when the pass that runs has ended. */
  dispose(): void {
    this.#native.dispose();
  }
}

function tokenOf(id: number, text: string, told: NativeTold | null): Token {
  if (told === null) return { id, text };
  const { logProbability, ofPrompt, ends, ids, logProbabilities } = told;
  return {
    id,
    text,
    logProbability,
    alternatives: Array.from(ids, (one, i) => ({ id: one, logProbability: logProbabilities[i]! })),
    ...(ends ? { ends } : {}),
    ...(ofPrompt ? { ofPrompt } : {}),
  };
}

/** A request that has not ended. */
class Request {
  readonly queue = new AsyncQueue<Token>();
  readonly #question: Question | undefined;
  /** Tokens that were generated, where they are asked about. */
  readonly #ids: number[] = [];

  constructor(question: Question | undefined) {
    this.#question = question;
  }

  /** A token; `asks`: the text waits to hear what may come behind it. */
  take(token: Token, asks: boolean): void {
    this.queue.push(token);
    if (this.#question === undefined || token.ofPrompt || token.ends) return;
    this.#ids.push(token.id);
    if (asks) this.ask();
  }

  /** Asks what may come next, if that is asked at all. */
  ask(): void {
    this.#question?.ask(Int32Array.from(this.#ids)).catch(this.queue.end);
  }

  ending: Ending = { reason: "limit", proposedTokens: 0, acceptedTokens: 0 };

  noteDrafts(proposedTokens: number, acceptedTokens: number): void {
    this.ending = { ...this.ending, proposedTokens, acceptedTokens };
  }

  finish(end: string, code: string | null, message: string): void {
    if (code !== null) this.queue.end(Object.assign(new Error(message), { code }));
    else {
      if (end !== "cancelled") this.ending = { ...this.ending, reason: end as Ending["reason"] };
      this.queue.end();
    }
  }
}

/** What a request asks of its constraint, and the way of the answer back. */
class Question {
  /** Events hold requests: none may hold the batch, see `Batch.open`. */
  readonly #native: WeakRef<NativeBatch>;
  readonly #ticket: number;
  readonly #constraint: Constraint;

  constructor(native: NativeBatch, ticket: number, constraint: Constraint) {
    this.#native = new WeakRef(native);
    this.#ticket = ticket;
    this.#constraint = constraint;
  }

  /** Throws what the constraint throws, after it has cancelled the request. */
  async ask(ids: Int32Array): Promise<void> {
    try {
      const { masks, ahead } = await this.#constraint(ids);
      this.#native.deref()?.allow(this.#ticket, ids.length, masks, ahead);
    } catch (error) {
      this.#native.deref()?.cancel(this.#ticket);
      throw error;
    }
  }
}
