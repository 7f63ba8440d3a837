import type { Command } from "commander";
import {
  choice,
  count,
  jsonOption,
  list,
  loaded,
  modeOption,
  port,
  positive,
  seconds,
  secondsOrNone,
  threads,
} from "../options.js";

/** Adds `gsic serve`. */
export function addServe(gsic: Command): void {
  gsic
    .command("serve <build>")
    .description("serve a build through OpenAI's HTTP interface (completions, chat, streaming)")
    .option("--host <host>", "address to listen on; this machine alone by default", "127.0.0.1")
    .option("--api-key <key>", "what clients must send as their key; others see it in lists of processes")
    .option("--api-key-file <file>", "the same, from a file; else the variable GSIC_API_KEY")
    .option("--allow-anyone", "serve other machines without a key", false)
    .option("--allow-host <names>", "names by which pages and proxies may ask, separated by commas", list, [])
    .option("--port <port>", "port to listen on; 0: one that is free", port, 8080)
    .addOption(modeOption())
    .option("--threads <n>", "threads (default: the cores this process may use)", threads)
    .option("--concurrency <n>", "requests that generate at once", positive, 32)
    .option("--queue <n>", "requests that wait; more get status 429", count, 128)
    .option(
      "--cache <bytes>",
      "KV cache of all requests (default: 16 contexts, at most a quarter of the memory)",
      positive,
    )
    .option("--cache-file <file>", "keep that cache here, from one server of the build to the next")
    .option("--max-tokens <n>", "most tokens of an answer (default: the context's room)", positive)
    .option("--max-total <n>", "most tokens of all answers to a request", positive, 1 << 16)
    .option("--time <seconds>", "how long a request may take once it runs", seconds, 600)
    .option("--max-body <bytes>", "most bytes of a request", positive, 1 << 20)
    .option("--max-connections <n>", "most connections at once", positive, 512)
    .option("--receive <seconds>", "how long a request may take to arrive", seconds, 60)
    .option("--stall <seconds>", "how long a reader may take nothing", seconds, 30)
    .option("--grace <seconds>", "how long requests may go on after SIGTERM or SIGINT", secondsOrNone, 30)
    .addOption(
      choice("--log <which>", "requests that get a line on stderr", ["requests", "errors"]).default(
        "requests",
      ),
    )
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic serve build/tiny-gpt2 --port 8080")
    .action(loaded(async () => (await import("../actions/serve.js")).serve));
}
