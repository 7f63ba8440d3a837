import { spawn } from "node:child_process";
import { type Command, Option } from "commander";
import { modeOf, openBuild } from "../../build-folder/open.js";
import type { Mode } from "../../ir/program.js";
import { GsicError, messageOf } from "../../support/errors.js";
import { amount, count, ids, type Json, jsonOption, modeOption } from "../options.js";
import { usage } from "../output.js";

/** Adds `gsic run`. */
export function addRun(gsic: Command): void {
  gsic
    .command("run <build>")
    .description("generate text")
    .option("--prompt <text>", "the text to go on from")
    .addOption(new Option("--ids <ids>", "the prompt as token ids").argParser(ids).conflicts("prompt"))
    .option("--tokens <n>", "most tokens to generate", count, 128)
    .addOption(modeOption())
    .option("--temperature <t>", "0 takes the likeliest token", amount, 0)
    .option("--top-k <k>", "sample among the k likeliest tokens", count)
    .option("--top-p <p>", "sample among the likeliest tokens that together have this probability", amount)
    .option("--seed <s>", "seed of the sampler", count)
    .option("--threads <n>", "threads (default: the cores this process may use)", count)
    .addOption(jsonOption())
    .addHelpText("after", '\nExample: gsic run build/tiny-gpt2 --prompt "Once upon a time" --tokens 64')
    .action(run);
}

/** `gsic run`: the build's own executable, so that what is shown is what is shipped. */
async function run(
  path: string,
  options: Json & {
    prompt?: string;
    ids?: number[];
    tokens: number;
    mode?: Mode;
    temperature: number;
    topK?: number;
    topP?: number;
    seed?: number;
    threads?: number;
  },
): Promise<void> {
  const built = openBuild(path);
  const mode = modeOf(built, options.mode);
  if (options.prompt === undefined && options.ids === undefined)
    throw usage("prompt-missing", "there is no prompt", "give --prompt with a text, or --ids with token ids");
  const optional = {
    ids: options.ids?.join(),
    "top-k": options.topK,
    "top-p": options.topP,
    seed: options.seed,
    threads: options.threads,
  };
  const settings = Object.entries({
    tokens: options.tokens,
    temperature: options.temperature,
    mode,
    ...optional,
  });
  const args = settings.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]));
  if (options.json) args.push("--json");
  const prompt = options.prompt === undefined ? [] : ["--", options.prompt];
  const child = spawn(built.executable, [...args, ...prompt], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  process.exitCode = await new Promise<number>((done, failed) => {
    child.on("error", (cause) => {
      const hint = "build it again: gsic build <model.toml>";
      const details = { category: "environment", code: "build-incomplete", where: built.executable } as const;
      failed(new GsicError({ ...details, message: messageOf(cause), hint, cause }));
    });
    child.on("close", (code) => done(code ?? 1));
  });
}
