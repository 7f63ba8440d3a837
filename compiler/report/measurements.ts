/** Median and spread of repeated measurements. */
export interface Spread {
  readonly median: number;
  readonly mean: number;
  readonly least: number;
  readonly most: number;
}

/** What bounds a token's time, measured in the same run; see runtime/tools/device_ceiling.h. */
export interface Ceiling {
  /** The buffer that was read; null where nothing could be measured. */
  readonly read_ceiling_bytes: number | null;
  /** Whether a GPU had too little free memory for a buffer above 512 MiB, so that caches may have helped. */
  readonly read_ceiling_short: boolean;
  readonly read_ceiling_bytes_per_second: Spread | null;
  /** A dependent launch of a captured sequence (GPUs), or a barrier of all workers (CPUs). */
  readonly seconds_per_empty_launch: Spread | null;
  /** Issuing and awaiting a captured sequence of one launch; null on CPUs. */
  readonly seconds_per_sequence: Spread | null;
  /** Of f32 in registers, by all threads; null on GPUs, and on CPUs without AVX2. */
  readonly multiply_adds_per_second?: Spread | null;
}

/** What proposals of mode lossless came to, over all repetitions. */
interface Drafts {
  /** Passes of the exact weights that verified proposals. */
  readonly passes: number;
  readonly proposed: number;
  readonly accepted: number;
  /** Of the proposed ones: copied from an earlier place of the text. */
  readonly looked_up: number;
  readonly acceptance: number;
  /** Proposals a pass. */
  readonly mean_length: number;
}

/** One mode; rates are null where every text ended at once. */
export interface ModeMeasurements {
  readonly decode_tokens_per_second: Spread | null;
  /** Quotients of rates from the same prompt, one after the other. */
  readonly decode_ratio_to_exact: Spread | null;
  /** Tokens written, and those that `exact` wrote at the same place. */
  readonly tokens: number;
  readonly tokens_as_exact: number;
  readonly prefill_tokens_per_second: Spread;
  /** Of a prompt of `prefill` tokens. */
  readonly seconds_to_first_token: Spread;
  /** Null where it depends on what is accepted. */
  readonly bytes_per_token: number | null;
  readonly share_of_ceiling: number | null;
  readonly launches: number;
  /** Of a token's time: launches x what one costs that does nothing. */
  readonly share_of_launches: number | null;
  /** Null in modes that do not draft. */
  readonly drafts: Drafts | null;
}

/** What was measured on, and how much of it. */
export interface MeasuredRun extends Ceiling {
  readonly target: string;
  /** What the device calls itself. */
  readonly device: string;
  /** Workers of a CPU, compute units of a GPU. */
  readonly threads: number;
  readonly repeat: number;
  /** Tokens of a prompt, and those written behind it. */
  readonly prompt: number;
  readonly tokens: number;
}

/** What `gsic-tool bench` prints; see runtime/tools/bench.cpp. */
export interface Measurements extends MeasuredRun {
  readonly model: string;
  /** Tokens of the prompt that `seconds_to_first_token` is of. */
  readonly prefill: number;
  /** Multiply-adds by the weights of one of them: of all linears but the head, as they are dense. */
  readonly multiply_adds_per_prefill_token: number;
  /** Of the bundle's pages in memory, at the end; null on GPUs. See examples/bench/README.md. */
  readonly weights_in_huge_pages: number | null;
  readonly modes: Readonly<Record<string, ModeMeasurements>>;
}
