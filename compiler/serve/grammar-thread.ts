import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { messageOf } from "../support/errors.js";
import { packageRoot } from "../support/paths.js";

/** What a grammar's texts are made of. */
export interface GrammarWords {
  /** The bytes of each token; null where it has no text. */
  readonly words: readonly (Uint8Array | null)[];
  /** Tokens that end a text. */
  readonly stopIds: readonly number[];
}

/** What the thread is asked. Grammars and texts have numbers. */
type Question =
  /** Whether a grammar can be compiled. */
  | { readonly kind: "try"; readonly spec: object }
  | { readonly kind: "compile"; readonly grammar: number; readonly spec: object }
  /** A text that obeys a grammar begins. */
  | { readonly kind: "begin"; readonly grammar: number; readonly text: number }
  /** What may come behind the tokens of a text. */
  | { readonly kind: "next"; readonly text: number; readonly ids: Int32Array }
  /** What may come behind each of `ids` if they go on with the text. */
  | { readonly kind: "ahead"; readonly text: number; readonly ids: Int32Array }
  | { readonly kind: "end"; readonly text: number }
  | { readonly kind: "drop"; readonly grammar: number };

interface Answer {
  /** A bit for each token. */
  readonly masks?: readonly Int32Array[];
  /** What the text is bound to go on with. */
  readonly ahead?: string;
}

interface Message {
  readonly ready?: true;
  readonly call: number;
  readonly result: Answer;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** Seconds in which the thread must have begun, however busy the machine is. */
const patienceAtStart = 120;

/** MiB of memory of the thread. */
const memory = 1024;

/** A thread, and what it was asked. A failure ends it: the library is then in no known state. */
export class GrammarThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready: Promise<void>;
  readonly #patience: number;
  #calls = 0;
  #reason: string | null = null;

  /** `patience`: seconds that a question may take, and those that were asked before it. */
  constructor(words: GrammarWords, patience: number) {
    this.#patience = patience;
    this.#worker = new Worker(join(packageRoot, "compiler/serve/grammar-worker.mjs"), {
      workerData: words,
      // What the library and Node say there is for nobody's eyes.
      stderr: true,
      stdout: true,
      resourceLimits: { maxOldGenerationSizeMb: memory },
    });
    this.#ready = new Promise((resolve) => {
      this.#worker.on("message", ({ ready, call, result, error }: Message) => {
        if (ready) return resolve();
        if (error !== undefined) return this.end(error);
        this.#waiting.get(call)?.resolve(result);
        this.#waiting.delete(call);
        this.#rest();
      });
    });
    this.#worker.on("error", (error) => this.end(messageOf(error)));
    this.#worker.on("exit", () => this.end("the grammar's thread has ended"));
    this.#rest();
  }

  get ended(): boolean {
    return this.#reason !== null;
  }

  /** Throws what ended the thread. */
  async call(question: Question): Promise<Answer> {
    if (this.#reason !== null) throw new Error(this.#reason);
    const call = this.#calls++;
    const late = (seconds: number) => this.end(`it takes more than ${seconds} s`);
    let timer = setTimeout(late, 1000 * patienceAtStart, patienceAtStart);
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
    });
    this.#worker.ref();
    this.#worker.postMessage({ ...question, call });
    try {
      await Promise.race([this.#ready, answer]);
      clearTimeout(timer);
      timer = setTimeout(late, 1000 * this.#patience, this.#patience);
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks what needs no answer. */
  forget(question: Question): void {
    if (this.#reason === null) this.call(question).catch(() => {});
  }

  end(reason: string): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
    void this.#worker.terminate();
  }

  /** A thread that is asked nothing keeps no process alive. */
  #rest(): void {
    if (this.#waiting.size === 0) this.#worker.unref();
  }
}
