import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Batch, BatchCounts } from "../load.js";
import type { Admission } from "./admission.js";

/** What a server counts, for Prometheus; besides, what the process takes. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = new Counter({
    name: "gsic_requests_total",
    help: "Requests that were answered, by route and HTTP status; 499: the client went away.",
    labelNames: ["route", "status"] as const,
    registers: [this.registry],
  });
  readonly seconds = new Histogram({
    name: "gsic_request_seconds",
    help: "Time from a request to the end of its answer.",
    labelNames: ["route"] as const,
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
    registers: [this.registry],
  });
  readonly firstToken = new Histogram({
    name: "gsic_first_token_seconds",
    help: "Time from a request to its first token, waiting included.",
    buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60],
    registers: [this.registry],
  });
  readonly promptTokens = new Counter({
    name: "gsic_prompt_tokens_total",
    help: "Tokens of prompts that were read.",
    registers: [this.registry],
  });
  readonly generatedTokens = new Counter({
    name: "gsic_generated_tokens_total",
    help: "Tokens that were generated.",
    registers: [this.registry],
  });

  constructor(admission: Admission) {
    collectDefaultMetrics({ register: this.registry });
    this.#gauge("gsic_requests_running", "Requests that generate text now.", () => admission.running);
    this.#gauge("gsic_requests_waiting", "Requests that wait for their turn.", () => admission.waiting);
  }

  /** Tells what a batch does, too. */
  watchBatch(batch: Batch): void {
    for (const [count, name, help] of batchGauges) this.#gauge(name, help, () => batch.counts()[count]);
  }

  /** Counts connections, too. */
  watchConnections(open: () => number): void {
    this.#gauge("gsic_connections", "Connections that are open.", open);
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(value());
      },
    });
  }
}

/** What the metrics say of the batch. */
const batchGauges: readonly (readonly [keyof BatchCounts, string, string])[] = [
  ["passes", "gsic_batch_passes_total", "Passes over the weights."],
  ["columns", "gsic_batch_columns_total", "Tokens in these passes, of all requests."],
  ["sharedTokens", "gsic_batch_shared_tokens_total", "Tokens of prompts that the cache had already."],
  ["preempted", "gsic_batch_preempted_total", "Texts that gave way to others, and were computed again."],
  ["writing", "gsic_batch_writing", "Texts that are being written."],
  ["reading", "gsic_batch_reading", "Texts whose prompt is being read."],
  ["paused", "gsic_batch_paused", "Texts whose reader is behind."],
  ["blocks", "gsic_cache_blocks", "Blocks of the KV cache."],
  ["blocksHeld", "gsic_cache_blocks_held", "Blocks that running texts need."],
  ["blocksKept", "gsic_cache_blocks_kept", "Blocks that are kept of texts that ended."],
];
