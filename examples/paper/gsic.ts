/** gsic's command line as a script uses it: a process for every command, one JSON document from each. */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ErrorCategory, exitCodes, GsicError } from "../../compiler/support/errors.js";

const main = fileURLToPath(new URL("../../compiler/main.js", import.meta.url));

/** Runs a command with --json and returns what it prints. It is announced, and its messages go to standard error. */
export async function gsic<T>(args: readonly string[]): Promise<T> {
  process.stderr.write(`\ngsic ${args.join(" ")}\n`);
  const child = spawn(process.execPath, [main, ...args, "--json"], { stdio: ["ignore", "pipe", "inherit"] });
  const out: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code === 0) return JSON.parse(Buffer.concat(out).toString()) as T;
  const category = Object.entries(exitCodes).find(([, value]) => value === code)?.[0] ?? "defect";
  throw new GsicError({
    category: category as ErrorCategory,
    code: "paper-command",
    message: `gsic ${args[0]} ended with ${code ?? "a signal"}, as it says above`,
    where: `gsic ${args.join(" ")}`,
  });
}
