import { spawn } from "node:child_process";
import { buildRuntime } from "./cc.js";
import { GsicError } from "./errors.js";

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
      reject(
        new GsicError({
          category: categories[code ?? 1] ?? "defect",
          code: "tool-failed",
          message: `gsic-tool ${args[0]} ended with ${signal ?? code}: ${(messages + line).trim()}`,
          where: args[1] ?? "",
          hint:
            code === null || !(code in categories)
              ? "this is a defect of gsic; please report it"
              : "see the message",
        }),
      );
    });
  });
}
