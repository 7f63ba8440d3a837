import { spawn } from "node:child_process";
import { modeOf } from "../../build-folder/open.js";
import { GsicError, messageOf } from "../../support/errors.js";
import { terminalProgress } from "../../support/progress.js";
import { buildOf } from "../model-build.js";
import type { Json, Sampling } from "../options.js";
import { usage } from "../output.js";

/** `gsic run`: the build's own executable, so that what is shown is what is shipped. */
export async function run(
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
