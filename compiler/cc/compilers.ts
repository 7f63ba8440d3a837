import { GsicError } from "../support/errors.js";
import { execute } from "../support/process.js";

/** A compiler on this machine, and what it says of its version (part of every cache key). */
export interface CxxCompiler {
  readonly command: string;
  readonly version: string;
}

/** The number of clang's version; 0 of other compilers. */
export function clangVersion({ version }: Pick<CxxCompiler, "version">): number {
  return Number(/clang version (\d+)/.exec(version)?.[1] ?? 0);
}

let found: Promise<CxxCompiler> | undefined;

/** $CXX, or the first of g++, clang++, c++. Throws `compiler-missing` (category environment). */
export function findCompiler(): Promise<CxxCompiler> {
  found ??= probeCompilers();
  return found;
}

async function probeCompilers(): Promise<CxxCompiler> {
  const candidates = process.env.CXX ? [process.env.CXX] : ["g++", "clang++", "c++"];
  for (const command of candidates) {
    const outcome = await execute(command, ["--version"]).catch(() => null);
    if (outcome?.code === 0) return { command, version: outcome.stdout };
  }
  throw compilerMissing(`no C++ compiler answers: tried ${candidates.join(", ")}`);
}

/** The error `compiler-missing` (category environment), with how to get a compiler. */
export function compilerMissing(message: string): GsicError {
  return new GsicError({
    category: "environment",
    code: "compiler-missing",
    message,
    hint: "install one, which compiles a model's kernels (Debian: apt-get install g++), or name it in the environment variable CXX",
  });
}

/** Flags of every shared object whose functions gsic calls: GNU's unique symbols would keep it loaded for ever. */
export function unloadable(compiler: CxxCompiler): readonly string[] {
  return compiler.version.includes("clang") ? [] : ["-fno-gnu-unique"];
}

/**
 * Runs a compiler, in `folder` if one is given; returns what it printed besides errors. Throws
 * `system-package-missing` (category environment) and `compile-failed` (category defect).
 */
export async function run(
  compiler: CxxCompiler,
  args: readonly string[],
  what: string,
  folder?: string,
): Promise<string> {
  const { code, stderr } = await execute(compiler.command, args, folder);
  if (code === 0) return stderr;
  const missing = /fatal error: ([\w/.]+): No such file|cannot find -l(\w+)/.exec(stderr);
  throw new GsicError({
    category: missing ? "environment" : "defect",
    code: missing ? "system-package-missing" : "compile-failed",
    message: `${compiler.command} could not compile ${what}\n${stderr.slice(0, 4000)}\nfirst error: ${firstError(stderr)}`,
    where: what,
    hint: missing
      ? `install the package that has ${missing[1] ?? missing[2]}; gsic doctor names it`
      : "this is a defect of gsic; please report it with the message above",
  });
}

/** The first error among a compiler's messages. */
function firstError(messages: string): string {
  const lines = messages.split("\n");
  const error = lines.find((line) => /\berror:|undefined reference|cannot find -l/.test(line));
  return (error ?? lines[0] ?? "").trim();
}
