/**
 * Built models in Node: `load` a .gsi file, and generate text or evaluate tokens. The work is done by the native
 * runtime, on its own threads; nothing here blocks the event loop. Failures are Errors whose `code` is a status of
 * runtime/include/gsic.h, such as `GSIC_BAD_BUNDLE`, or `GSIC_DISPOSED`.
 */

import { fileURLToPath } from "node:url";
import { Batch, type BatchOptions, type NativeBatch, type NativeBatchEvent } from "./batch.js";
import { buildRuntime } from "./cc/index.js";
import { AsyncQueue } from "./support/async-queue.js";
import { GsicError, messageOf } from "./support/errors.js";
import { type GenerateOptions, noLimit, samplingOf, type Token } from "./tokens.js";

export {
  Batch,
  type BatchCounts,
  type BatchedOptions,
  type BatchOptions,
  type Constraint,
  type Ending,
  type NextTokens,
} from "./batch.js";
export type { Alternative, GenerateOptions, Token } from "./tokens.js";

/** How a bundle is opened. */
export interface LoadOptions {
  /** CPU threads of a pass; default: all CPUs that this process may use. */
  readonly threads?: number | undefined;
  /** A target's name in the bundle; default: the best that this machine can run. */
  readonly target?: string | undefined;
  /** False: the hash of the weights is not checked, so a large file opens sooner. Default true. */
  readonly verify?: boolean | undefined;
}

/** What a bundle says about its model. */
export interface ModelInfo<Mode extends string = string> {
  readonly name: string;
  readonly family: string;
  /** The target whose code runs. */
  readonly target: string;
  /** The default first. */
  readonly modes: readonly Mode[];
  /** Number of token ids. */
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
  readonly threads: number;
  readonly hasTokenizer: boolean;
  /** The id that ends a text, or null. */
  readonly endOfText: number | null;
  /** Width of a token's last hidden state; 0: the target does not keep it, as GPUs do not. */
  readonly hidden: number;
}

/** How a text is encoded. */
export interface EncodeOptions {
  /** Whether special tokens are recognised in it; default true. */
  readonly special?: boolean | undefined;
  /** Offsets of bytes of the text as UTF-8, ascending: a special token that covers one of them stays text. */
  readonly literal?: readonly number[] | undefined;
  /** Aborting ends the work soon; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Opens a bundle: a .gsi file. Where the addon did not come compiled, the first call compiles it, into gsic's cache. */
export async function load<Mode extends string = string>(
  path: string | URL,
  options: LoadOptions = {},
): Promise<Model<Mode>> {
  const addon = await nativeAddon();
  const { threads = 0, target = null, verify = true } = options;
  const file = path instanceof URL ? fileURLToPath(path) : path;
  return new Model<Mode>(await addon.Model.open(file, threads, target, verify));
}

/** `Symbol.dispose`, so that `using` works; early versions of Node 20 lack it. */
const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("gsic.dispose");

/** `Symbol.asyncDispose`, so that `await using` works. */
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for("gsic.asyncDispose");

/** A loaded model. Any number of sessions can use it. What is not disposed of goes with garbage collection. */
export class Model<Mode extends string = string> {
  readonly info: ModelInfo<Mode>;
  readonly #native: NativeModel;

  /** Only by `load`. */
  constructor(native: NativeModel) {
    this.#native = native;
    const { endOfText, ...facts } = native.describe();
    this.info = Object.freeze({
      ...facts,
      modes: facts.modes as Mode[],
      endOfText: endOfText < 0 ? null : endOfText,
    });
  }

  /** The texts that `encode` recognises as special tokens, such as `<|im_start|>`. Throws GSIC_DISPOSED. */
  specialTexts(): string[] {
    return this.#native.specialTexts();
  }

  /** Token ids of a text. Rejects with GSIC_INVALID_ARGUMENT where a pattern of the tokenizer gives up on the text. */
  async encode(
    text: string,
    { special = true, literal = [], signal }: EncodeOptions = {},
  ): Promise<Int32Array> {
    signal?.throwIfAborted();
    const run = this.#native.encode(text, special, Int32Array.from(literal));
    signal?.addEventListener("abort", run.stop);
    try {
      return await run.done;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", run.stop);
    }
  }

  /** The text of tokens; bytes that are no UTF-8 become U+FFFD. */
  decode(ids: Int32Array): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.#native.tokenBytes(ids));
  }

  /** The bytes of tokens, one behind the other. */
  bytes(ids: Int32Array): Uint8Array {
    return this.#native.tokenBytes(ids);
  }

  /** Opens a session without tokens; `mode` defaults to the bundle's first. */
  session({ mode }: { readonly mode?: Mode | undefined } = {}): Promise<Session> {
    return settled(async () => new Session(await this.#native.openSession(mode ?? null)));
  }

  /** Opens a batch, in which many requests share passes over the weights. */
  batch(options: BatchOptions<Mode> = {}): Promise<Batch> {
    return settled(() =>
      Batch.open((onEvent) => this.#native.openBatch(options.mode ?? null, options.cacheBytes ?? 0, onEvent)),
    );
  }

  /** Generates in a session of its own. Leaving the loop ends the generation. */
  async *generate(
    prompt: string | Int32Array,
    options: GenerateOptions & { readonly mode?: Mode | undefined } = {},
  ): AsyncGenerator<Token, void, undefined> {
    const session = await this.session({ mode: options.mode });
    try {
      const ids = typeof prompt === "string" ? await this.encode(prompt) : prompt;
      yield* session.generate(ids, options);
    } finally {
      session.dispose();
    }
  }

  /** Frees the model, its sessions and batches, at once or when what runs has stopped; runs fail with GSIC_DISPOSED. */
  dispose(): void {
    this.#native.dispose();
  }

  [dispose](): void {
    this.dispose();
  }

  async [asyncDispose](): Promise<void> {
    this.dispose();
  }
}

/** A sequence of tokens and its KV cache. One call at a time: a second one fails with GSIC_BUSY. */
export class Session {
  readonly #native: NativeSession;

  /** Only by `Model.session`. */
  constructor(native: NativeSession) {
    this.#native = native;
  }

  /** Tokens so far. */
  get length(): number {
    return this.#native.length;
  }

  /** Appends tokens; the logits [wanted, vocabulary] of the last `wanted` of them. */
  evaluate(ids: Int32Array, wanted = 1): Promise<Float32Array> {
    return settled(() => this.#native.evaluate(ids, wanted));
  }

  /**
   * Appends tokens; their last hidden states [ids, hidden], behind the last norm. Rejects with GSIC_INVALID_ARGUMENT in
   * mode "bounded" and on a GPU.
   */
  hidden(ids: Int32Array): Promise<Float32Array> {
    return settled(() => this.#native.hidden(ids));
  }

  /**
   * Appends a prompt and generates after it. Leaving the loop, or an abort, ends the generation; the session then
   * holds the prompt and the tokens that the loop has seen. If it fails, the session is as it was before.
   */
  async *generate(prompt: Int32Array, options: GenerateOptions = {}): AsyncGenerator<Token, void, undefined> {
    const { tokens = noLimit, signal } = options;
    signal?.throwIfAborted();
    const queue = new AsyncQueue<Token>();
    let kept = this.#native.length + prompt.length;
    const run = this.#native.generate(prompt, tokens, samplingOf(options), pushInto(queue));
    const done = run.done.then(queue.end, queue.end);
    const stop = () => run.stop();
    signal?.addEventListener("abort", stop);
    try {
      for (let token = await queue.next(); token !== null; token = await queue.next()) {
        signal?.throwIfAborted();
        run.taken();
        kept++;
        yield token;
      }
      signal?.throwIfAborted();
    } finally {
      signal?.removeEventListener("abort", stop);
      run.stop();
      await done;
      if (!this.#native.disposed && this.#native.length > kept) this.#native.rewind(kept);
    }
  }

  /** Keeps the first `length` tokens. */
  rewind(length: number): void {
    this.#native.rewind(length);
  }

  /** Frees the session, at once or when what runs has stopped; the run fails with GSIC_DISPOSED. */
  dispose(): void {
    this.#native.dispose();
  }

  [dispose](): void {
    this.dispose();
  }

  async [asyncDispose](): Promise<void> {
    this.dispose();
  }
}

/** The runtime holds this function, so it must not hold the run: a loop that is dropped is then collected, which stops its run. */
function pushInto(queue: AsyncQueue<Token>): (id: number, text: string) => void {
  return (id, text) => queue.push({ id, text });
}

/** Makes what `call` throws a rejection. */
async function settled<T>(call: () => Promise<T>): Promise<T> {
  return call();
}

// ------------------------------------------------------------------------------ the addon (runtime/addon)

/** runtime/addon/model_object.h. */
interface NativeModel {
  describe(): Omit<ModelInfo, "endOfText"> & { readonly endOfText: number };
  encode(
    text: string,
    special: boolean,
    literal: Int32Array,
  ): { readonly done: Promise<Int32Array>; readonly stop: () => void };
  specialTexts(): string[];
  tokenBytes(ids: Int32Array): Uint8Array;
  openSession(mode: string | null): Promise<NativeSession>;
  openBatch(mode: string | null, cacheBytes: number, onEvent: NativeBatchEvent): Promise<NativeBatch>;
  dispose(): void;
}

/** runtime/addon/session_object.h. */
interface NativeSession {
  readonly length: number;
  readonly disposed: boolean;
  evaluate(ids: Int32Array, wanted: number): Promise<Float32Array>;
  hidden(ids: Int32Array): Promise<Float32Array>;
  generate(
    ids: Int32Array,
    limit: number,
    sampling: object,
    onToken: (id: number, text: string) => void,
  ): NativeGeneration;
  rewind(length: number): void;
  dispose(): void;
}

/** runtime/addon/generation.h. */
interface NativeGeneration {
  readonly done: Promise<void>;
  taken(): void;
  stop(): void;
}

interface NativeAddon {
  readonly Model: {
    open(path: string, threads: number, target: string | null, verify: boolean): Promise<NativeModel>;
  };
}

let loaded: Promise<NativeAddon> | undefined;

/** The addon, compiled if need be. Throws `addon-unloadable` (category environment), and what the compiler throws. */
function nativeAddon(): Promise<NativeAddon> {
  loaded ??= openAddon().catch((error: unknown) => {
    loaded = undefined;
    throw error;
  });
  return loaded;
}

async function openAddon(): Promise<NativeAddon> {
  const file = await buildRuntime("addon");
  const module = { exports: {} };
  try {
    process.dlopen(module, file);
  } catch (cause) {
    throw new GsicError({
      category: "environment",
      code: "addon-unloadable",
      message: `Node cannot load the addon: ${messageOf(cause)}`,
      where: file,
      hint: "remove the file, and try again: it is then compiled for this machine",
      cause,
    });
  }
  return module.exports as NativeAddon;
}
