import { spawn } from "node:child_process";
import { GsicError } from "../support/errors.js";
import { buildRuntime } from "./index.js";

/** Told how far a long task is; `total` does not change. */
export type ProgressListener = (done: number, total: number) => void;

/** Exit codes of gsic-tool that mean more than "a defect"; as in runtime/main/main.cpp. */
const categories: Readonly<Record<number, "usage" | "data" | "environment">> = {
  2: "usage",
  3: "data",
  4: "environment",
};

/**
 * Runs a subcommand of gsic-tool (runtime/tools), the native helper that computes on bundles; returns its standard
 * output. `environment` is added to this process's own. Throws with the tool's own message if it fails.
 */
export async function runTool(
  args: readonly string[],
  progress: ProgressListener = () => {},
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const tool = await buildRuntime("tool");
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...environment };
    const child = spawn(tool, args, { stdio: ["ignore", "pipe", "pipe"], env });
    const out: Buffer[] = [];
    let messages = "";
    let line = "";
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      const lines = (line + text).split("\n");
      line = lines.pop()!;
      for (const one of lines) {
        const step = /^\{"progress":(\d+),"total":(\d+)\}$/.exec(one.trim());
        if (step === null) messages += `${one}\n`;
        else progress(Number(step[1]), Number(step[2]));
      }
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(out).toString());
      reject(toolError(args, signal ?? code ?? 1, (messages + line).trim()));
    });
  });
}

/**
 * The error that gsic-tool printed, `gsic-tool: [place: ]what[; what next] [code]`, where `place` is a file of its
 * arguments and maybe a byte of it. A tool that ended otherwise has failed itself.
 */
export function toolError(args: readonly string[], ended: number | string, messages: string): GsicError {
  const category = categories[Number(ended)];
  const found = /^gsic-tool: (.*) \[([a-z-]+)\]$/ms.exec(messages);
  if (category === undefined || found === null) {
    return new GsicError({
      category: category ?? "defect",
      code: "tool-failed",
      message: `gsic-tool ${args[0]} ended with ${ended}: ${messages}`,
      where: args[1] ?? "gsic-tool",
      hint: "this is a defect of gsic; please report it",
    });
  }
  const [, text, code] = found as unknown as [string, string, string];
  const file = args.find((one) => one.includes("/") && text.startsWith(`${one}: `)) ?? null;
  const said = file === null ? text : text.slice(file.length + 2);
  const byte = /^(byte \d+): /.exec(said);
  const what = byte === null ? said : said.slice(byte[0].length);
  const semicolon = what.lastIndexOf("; ");
  const place = file ?? args[1] ?? "gsic-tool";
  return new GsicError({
    category,
    code,
    message: semicolon < 0 ? what : what.slice(0, semicolon),
    where: byte === null ? place : `${place}: ${byte[1]}`,
    hint: semicolon < 0 ? nextSteps[category] : what.slice(semicolon + 2),
  });
}

/** What to do next where the tool does not say. */
const nextSteps = {
  usage: "change the command's arguments; gsic --help shows them",
  data: "build the model again: gsic build <model.toml>",
  environment: "check that the folder exists, may be written, and has room",
} as const;
