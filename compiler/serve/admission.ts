import PQueue from "p-queue";
import { CommonEnd } from "./ends.js";
import { ApiError } from "./errors.js";

/** How many requests run and wait. */
interface AdmissionLimits {
  readonly concurrency: number;
  readonly queue: number;
}

/** Lets a limited number of requests run, and a limited number wait for their turn. */
export class Admission {
  readonly #queue: PQueue;
  readonly #limits: AdmissionLimits;
  readonly #closing = new CommonEnd();
  /** Seconds that a request ran, averaged over the last ones. */
  #seconds = 1;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
    this.#queue = new PQueue({ concurrency: limits.concurrency });
  }

  get running(): number {
    return this.#queue.pending;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Waits for a turn; the result gives it back, once however often it is called. Throws a 429 if too many wait already, a 503 once the server stops, and
   * the signal's reason if it is aborted while it waits.
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    this.#closing.throwIfReached();
    signal.throwIfAborted();
    const { concurrency, queue } = this.#limits;
    if (this.running >= concurrency && this.waiting >= queue) {
      const message = `${this.running} requests run and ${this.waiting} wait: no more are taken`;
      throw new ApiError(429, message, { code: "queue_full", retryAfter: this.#expectedWait() });
    }
    return new Promise((granted, refused) => {
      const turn = () =>
        new Promise<void>((done) => {
          const begun = performance.now();
          let left = false;
          granted(() => {
            if (left) return;
            left = true;
            this.#seconds += ((performance.now() - begun) / 1000 - this.#seconds) / 8;
            done();
          });
        });
      const abandoned = new AbortController();
      const leave = () => abandoned.abort(signal.reason);
      signal.addEventListener("abort", leave);
      const forget = this.#closing.reaches(abandoned);
      this.#queue
        .add(turn, { signal: abandoned.signal })
        .catch(refused)
        .finally(() => {
          signal.removeEventListener("abort", leave);
          forget();
        });
    });
  }

  /** Sends away who waits, and who comes. */
  close(): void {
    this.#closing.reach(new ApiError(503, "the server stops", { code: "stopping", retryAfter: 5 }));
  }

  /** Seconds after which a turn may be free. */
  #expectedWait(): number {
    const { concurrency, queue } = this.#limits;
    return Math.min(60, Math.max(1, Math.ceil((this.#seconds * (queue + 1)) / concurrency)));
  }
}
