/** Helpers of the tests that use the command line as people do: in a process of its own. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
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

/** A day: compiled sources that no test has used for so long are removed. */
const keptMs = 24 * 3_600_000;

/** Compiles the present sources, once for all tests that run them: into a folder that is named by their hash. */
function compiledSources(): string {
  const beside = join(packageRoot, "build/cli");
  const hash = createHash("sha256");
  for (const folder of ["compiler", "templates", "runtime", "examples"])
    for (const file of sourcesBelow(join(packageRoot, folder)))
      hash.update(`${file}\0`).update(readFileSync(file)).update("\0");
  const output = join(beside, hash.digest("hex").slice(0, 16));
  if (!existsSync(output)) compileTo(output);
  utimesSync(output, new Date(), new Date());
  for (const name of readdirSync(beside)) {
    const used = statSync(join(beside, name), { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - used > keptMs) rmSync(join(beside, name), { recursive: true, force: true });
  }
  return output;
}

/** TypeScript sources below a folder, those of packages left out. */
function sourcesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === "node_modules" ? [] : sourcesBelow(path);
      return entry.name.endsWith(".ts") ? [path] : [];
    });
}

/** The folder appears whole; of two tests that compile at once the later one's is removed. */
function compileTo(output: string): void {
  const made = `${output}.${process.pid}`;
  const tsc = join(packageRoot, "node_modules/typescript/bin/tsc");
  // Types are checked by `npm run check`; sources with wrong types run all the same.
  const settings = ["--noCheck", "--declaration", "false", "--sourceMap", "false"];
  const places = ["--outDir", made, "--tsBuildInfoFile", `${made}/sources.tsbuildinfo`];
  execFileSync(process.execPath, [tsc, "-p", join(packageRoot, "tsconfig.json"), ...settings, ...places]);
  try {
    renameSync(made, output);
  } catch {
    rmSync(made, { recursive: true, force: true });
  }
}

const mainFile = "compiler/main.js";

/** gsic, compiled from the present sources. */
export class CommandLine {
  private readonly folder = compiledSources();

  private get main(): string {
    return this.compiled(mainFile);
  }

  /** The path of a compiled file, which is named as in `dist/`. */
  compiled(file: string): string {
    return join(this.folder, file);
  }

  /** How a shell starts gsic. */
  get command(): string {
    return `${process.execPath} ${this.main}`;
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
