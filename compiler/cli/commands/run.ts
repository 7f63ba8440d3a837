import { spawn } from "node:child_process";
import { type Command, Option } from "commander";
import { modeOf } from "../../build-folder/open.js";
import { GsicError, messageOf } from "../../support/errors.js";
import { terminalProgress } from "../../support/progress.js";
import { buildOf } from "../model-build.js";
import { count, ids, type Json, jsonOption, type Sampling, samplingOptions } from "../options.js";
import { usage } from "../output.js";

/** Adds `gsic run`. */
export function addRun(gsic: Command): void {
  const command = gsic
    .command("run <model> [text]")
    .description(
      "generate text with a build, or with a model: a .gguf or .onnx file, a folder, or hf:owner/name",
    )
    .option("--prompt <text>", "the text to go on from, as the argument [text]; -: from standard input")
    .addOption(new Option("--ids <ids>", "the prompt as token ids").argParser(ids).conflicts("prompt"))
    .option("--tokens <n>", "most tokens to generate", count, 128);
  samplingOptions(command)
    .addOption(jsonOption())
    .addHelpText("after", '\nExample: gsic run build/tiny-gpt2 "Once upon a time" --tokens 64')
    .action(run);
}

/** `gsic run`: the build's own executable, so that what is shown is what is shipped. */
async function run(
  path: string,
  text: string | undefined,
  options: Json &
    Sampling & {
      prompt?: string;
      ids?: number[];
      tokens: number;
    },
): Promise<void> {
  const prompt = promptOf(text, options);
  const progress = terminalProgress();
  const built = await buildOf(path, progress);
  progress.finish();
  const mode = modeOf(built, options.mode);
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
  if (prompt !== null) args.push("--", prompt);
  const child = spawn(built.executable, args, {
    stdio: [prompt === "-" ? "inherit" : "ignore", "inherit", "inherit"],
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

/** The text to go on from; null where ids are given. Throws `prompt-missing` and `prompt-twice` (category usage). */
function promptOf(
  text: string | undefined,
  { prompt, ids }: { prompt?: string; ids?: number[] },
): string | null {
  const given = [text, prompt, ids].filter((one) => one !== undefined);
  if (given.length === 0)
    throw usage(
      "prompt-missing",
      "there is no prompt",
      "give a text behind the model, or --ids with token ids",
    );
  if (given.length > 1)
    throw usage(
      "prompt-twice",
      "there is more than one prompt",
      "give the text, --prompt, or --ids: one of them",
    );
  return text ?? prompt ?? null;
}
