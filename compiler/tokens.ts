/** What a generation is asked for, and what it gives. */

/** How tokens are chosen, and how many. */
export interface GenerateOptions {
  /** Most tokens to generate; default: what the context has room for. */
  readonly tokens?: number | undefined;
  /** 0, the default: the likeliest token, always. */
  readonly temperature?: number | undefined;
  /** Choose among the so many likeliest; default 0: no limit. */
  readonly topK?: number | undefined;
  /** Choose among the likeliest that have this probability together; default 0: no limit. */
  readonly topP?: number | undefined;
  /** The same seed gives the same text; default 0. */
  readonly seed?: number | bigint | undefined;
  /** Aborting ends the generation soon; the iteration then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** One generated token. */
export interface Token {
  readonly id: number;
  /** Complete characters only: a character of several tokens comes with its last one. Empty without a tokenizer. */
  readonly text: string;
  /** Of the token among all, before temperature, topK and topP; only where a batch was asked for it. */
  readonly logProbability?: number;
}

/** What the addon takes of the options; a seed that is no integer is left for it to refuse. */
export function samplingOf({ temperature = 0, topK = 0, topP = 0, seed = 0 }: GenerateOptions) {
  return { temperature, topK, topP, seed: Number.isSafeInteger(seed) ? BigInt(seed) : seed };
}

/** More tokens than any context has room for. */
export const noLimit = 0xffff_ffff;
