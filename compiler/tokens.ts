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
  /** Choose among those that have at least so many times the probability of the likeliest; default 0: no limit. */
  readonly minP?: number | undefined;
  /** The same seed gives the same text; from 0 to 2^64 - 1; default 0. */
  readonly seed?: number | bigint | undefined;
  /** Divides positive logits of tokens of the text, and multiplies negative ones; default 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Taken from the logits of generated tokens; default 0. */
  readonly presencePenalty?: number | undefined;
  /** The same, for each time that the token was generated; default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** What is added to the logits of tokens, by id. */
  readonly bias?: ReadonlyMap<number, number> | undefined;
  /** Aborting ends the generation soon; the iteration then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A token, and the natural logarithm of its probability by the model's own logits: no temperature, penalty or bias. */
export interface Alternative {
  readonly id: number;
  readonly logProbability: number;
}

/** One generated token. */
export interface Token {
  readonly id: number;
  /** Complete characters only: a character of several tokens comes with its last one. Empty without a tokenizer. */
  readonly text: string;
  /** By the model's own logits; only where a batch was asked for it. NaN for the first token of a prompt. */
  readonly logProbability?: number;
  /** The likeliest tokens in its place, the likeliest first; with `logProbability`. */
  readonly alternatives?: readonly Alternative[];
  /** It ends the text, and counts as none of it; only with `logProbability`. */
  readonly ends?: true;
  /** It is the prompt's; only where a batch was asked for it. */
  readonly ofPrompt?: true;
}

/** What the addon takes of the options; a seed that is no integer is left for it to refuse. */
export function samplingOf(options: GenerateOptions) {
  const { seed = 0, bias = new Map<number, number>() } = options;
  return {
    temperature: options.temperature ?? 0,
    topK: options.topK ?? 0,
    topP: options.topP ?? 0,
    minP: options.minP ?? 0,
    seed: Number.isSafeInteger(seed) ? BigInt(seed) : seed,
    repetitionPenalty: options.repetitionPenalty ?? 1,
    presencePenalty: options.presencePenalty ?? 0,
    frequencyPenalty: options.frequencyPenalty ?? 0,
    biasIds: Int32Array.from(bias.keys()),
    biases: [...bias.values()],
  };
}

/** More tokens than any context has room for. */
export const noLimit = 0xffff_ffff;
