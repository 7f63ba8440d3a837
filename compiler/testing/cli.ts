/** Helpers of the tests that use the command line as people do: in a process of its own. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../support/paths.js";

/** What a finished command left. */
export interface Outcome {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SpawnOptions {
  readonly cwd?: string;
  /** Variables on top of this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** All of standard input; without it there is none. */
  readonly input?: string;
}

/** gsic, compiled from the present sources into a folder that no other test writes to. */
export class CommandLine {
  private readonly folder: string;

  constructor() {
    const build = join(packageRoot, "build");
    execFileSync("mkdir", ["-p", build]);
    this.folder = mkdtempSync(join(build, "cli-test-"));
    const settings = ["--outDir", this.folder, "--declaration", "false", "--sourceMap", "false"];
    const tsc = join(packageRoot, "node_modules/typescript/bin/tsc");
    try {
      execFileSync(process.execPath, [tsc, "-p", join(packageRoot, "tsconfig.json"), ...settings]);
    } catch (error) {
      // Types are checked by `npm run check`; sources with wrong types run all the same.
      if (!existsSync(this.main)) throw error;
    }
  }

  private get main(): string {
    return this.compiled("compiler/main.js");
  }

  /** The path of a compiled file, which is named as in `dist/`. */
  compiled(file: string): string {
    return join(this.folder, file);
  }

  /** How a shell starts gsic. */
  get command(): string {
    return `${process.execPath} ${this.main}`;
  }

  /** Removes the compiled files. */
  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Starts gsic. */
  start(
    args: readonly string[],
    options: SpawnOptions = {},
  ): { child: ChildProcess; outcome: Promise<Outcome> } {
    return start(process.execPath, [this.main, ...args], options);
  }

  /** Runs gsic to its end. */
  run(args: readonly string[], options: SpawnOptions = {}): Promise<Outcome> {
    return this.start(args, options).outcome;
  }

  /** Runs gsic, which must succeed and print one JSON document and nothing else on standard output. */
  async json(args: readonly string[], options: SpawnOptions = {}): Promise<unknown> {
    const { code, stdout, stderr } = await this.run([...args, "--json"], options);
    if (code !== 0) throw new Error(`gsic ${args.join(" ")} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout);
  }
}

/** Starts a command; the outcome's code is its exit code, or the signal that ended it. */
export function start(
  command: string,
  args: readonly string[],
  { cwd, env, input }: SpawnOptions = {},
): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  child.stdin?.end(input);
  let stdout = "";
  let stderr = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code: code ?? signal, stdout, stderr }));
  });
  return { child, outcome };
}

/** Paths of all files below a folder, relative to it. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Files that are not the same in two folders. */
export function differences(left: string, right: string): string[] {
  const names = new Set([...filesBelow(left), ...filesBelow(right)]);
  return [...names].filter((name) => {
    const [a, b] = [join(left, name), join(right, name)];
    return !existsSync(a) || !existsSync(b) || !readFileSync(a).equals(readFileSync(b));
  });
}
