import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { packageRoot } from "../support/paths.js";

/** What a template may take. */
export interface RenderLimits {
  /** Milliseconds of one rendering. */
  readonly milliseconds: number;
  /** MiB of memory. */
  readonly memory: number;
  /** Characters of the text. */
  readonly length: number;
}

/** A hundred times what the templates of models take for long conversations. */
export const renderLimits: RenderLimits = { milliseconds: 5000, memory: 128, length: 16 << 20 };

/** A template took more than its limits; the message says of what. */
export class RenderLimitError extends Error {}

/** What the thread says of a rendering. */
interface Answer {
  readonly text?: string;
  readonly error?: string;
}

/**
 * Renders a Jinja template in a thread of its own, one text at a time. A rendering beyond the limits ends the thread,
 * and the next begins another: what a template does to itself, it does to nobody else. The thread keeps no process
 * alive.
 */
export class TemplateRenderer {
  #turn: Promise<unknown> = Promise.resolve();
  #worker: Worker | null = null;
  /** Who waits for the thread's answer. */
  #asked: { readonly resolve: (answer: Answer) => void; readonly reject: (error: unknown) => void } | null =
    null;

  constructor(
    private readonly source: string,
    private readonly limits: RenderLimits = renderLimits,
  ) {}

  /** The text. Rejects with a `RenderLimitError`, or with an Error that has the template's own reason. */
  render(variables: object): Promise<string> {
    const text = this.#turn.then(() => this.#render(variables));
    this.#turn = text.catch(() => {});
    return text;
  }

  /** Ends the thread, if there is one. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  async #render(variables: object): Promise<string> {
    const worker = await this.#ready();
    const { milliseconds, length } = this.limits;
    const late = new RenderLimitError(`it did not end within ${milliseconds / 1000} s`);
    worker.ref();
    let timer: NodeJS.Timeout | undefined;
    try {
      const answer = new Promise<Answer>((resolve, reject) => {
        timer = setTimeout(() => reject(late), milliseconds);
        this.#asked = { resolve, reject };
      });
      worker.postMessage({ variables });
      const { text, error } = await answer;
      if (text === undefined) throw new Error(error);
      if (text.length > length) throw new RenderLimitError(`its text has more than ${length} characters`);
      return text;
    } catch (error) {
      if (error instanceof RenderLimitError) await this.close();
      throw error;
    } finally {
      this.#asked = null;
      clearTimeout(timer);
      worker.unref();
    }
  }

  /** The thread, started if need be. Starting is not the template's fault, however long it takes. */
  async #ready(): Promise<Worker> {
    if (this.#worker !== null) return this.#worker;
    const { memory } = this.limits;
    const worker = new Worker(join(packageRoot, "compiler/read/template-worker.mjs"), {
      workerData: { source: this.source },
      resourceLimits: { maxOldGenerationSizeMb: memory, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
      // It has no business with the environment.
      env: {},
    });
    await once(worker, "message");
    worker.on("message", (answer: Answer) => this.#asked?.resolve(answer));
    worker.on("error", (error) => {
      const memoryFull = (error as NodeJS.ErrnoException).code === "ERR_WORKER_OUT_OF_MEMORY";
      this.#asked?.reject(memoryFull ? new RenderLimitError("it takes too much memory") : error);
    });
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = null;
      this.#asked?.reject(new RenderLimitError("its thread ended"));
    });
    this.#worker = worker;
    return worker;
  }
}
