import PQueue from "p-queue";
import { GsicError } from "../support/errors.js";
import { ApiError, badField } from "./errors.js";

/** How much work of turning texts into ids there may be. */
interface EncodingLimits {
  /** Requests that wait for it; more are told to come back. */
  readonly waiting: number;
  /** Seconds of this process's CPU time that the texts of a request may take, or twelve times as many by the clock. */
  readonly seconds: number;
}

const slowestMachine = 12;

/**
 * Turns the texts of one request after another into ids. A pattern of a tokenizer, or a template, may take long for a
 * text that was made for it: it then keeps one thread, and neither all of Node's nor the model's.
 */
export class Encoding {
  readonly #queue = new PQueue({ concurrency: 1 });
  readonly #limits: EncodingLimits;

  constructor(limits: EncodingLimits) {
    this.#limits = limits;
  }

  /**
   * Runs `work` when its turn comes; its signal is aborted with `signal`, and when the time is over. `param` is the field
   * with the texts. Throws a 429 where too many wait, a 400 where a text takes too long or the tokenizer gives up on it,
   * and the signal's reason.
   */
  async run<T>(param: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const { waiting, seconds } = this.#limits;
    if (this.#queue.size >= waiting) {
      const message = `${this.#queue.size} requests wait for their texts to be read: no more are taken`;
      throw new ApiError(429, message, { code: "queue_full", retryAfter: 1 });
    }
    return this.#queue.add(
      async () => {
        const time = new TimeLimit(seconds);
        try {
          return await work(AbortSignal.any([signal, time.signal]));
        } catch (error) {
          signal.throwIfAborted();
          if (time.signal.aborted)
            throw badField(param, `the text takes longer than ${seconds} s to read`, "text_too_hard");
          throw asClientError(param, error);
        } finally {
          time.close();
        }
      },
      { signal },
    );
  }
}

/** Time that runs as this process computes: on a machine that is busy with others, no text is at fault for what they take. */
class TimeLimit {
  readonly #controller = new AbortController();
  readonly #began = { cpu: process.cpuUsage(), clock: performance.now() };
  #timer: NodeJS.Timeout;

  constructor(seconds: number) {
    const look = () => {
      const { user, system } = process.cpuUsage(this.#began.cpu);
      const left = 1000 * seconds - (user + system) / 1000;
      const clock = performance.now() - this.#began.clock;
      if (left <= 0 || clock >= 1000 * seconds * slowestMachine) this.#controller.abort();
      else this.#timer = setTimeout(look, Math.max(left, 10));
    };
    this.#timer = setTimeout(look, 1000 * seconds);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

/** Where the runtime refuses a text, the text is at fault. */
function asClientError(param: string, error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message?: string };
  if (error instanceof GsicError || code !== "GSIC_INVALID_ARGUMENT") return error;
  return badField(param, message ?? "the text cannot be read", "text_too_hard");
}
