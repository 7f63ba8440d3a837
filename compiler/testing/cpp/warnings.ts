import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { hashOf } from "../../cc/cache.js";
import { type CxxCompiler, findCompiler } from "../../cc/compilers.js";
import { packageFolder, runtimeRecipes } from "../../cc/runtime.js";
import { cacheFolder } from "../../support/paths.js";
import { execute, inParallel } from "../../support/process.js";
import type { Violation } from "./sources.js";

/** Need headers of ONNX Runtime and of PyTorch, and are compiled where those are (testing/wheel; the first lines of the file). */
const withoutHeaders = ["runtime/onnxruntime/check/abi.cpp", "runtime/python/native/operator.cpp"];

/**
 * What the C++ compiler warns of in the sources among `files`, and in the headers that they include. Each source is only
 * parsed: a minute of one core for all; what had no warnings is remembered by its content and its headers'. Throws
 * `compiler-missing` (category environment).
 */
export async function warningViolations(root: string, files: readonly string[]): Promise<Violation[]> {
  const compiler = await findCompiler();
  const recipes = await runtimeRecipes();
  const packages = (recipes.outputs.addon.packages ?? []).map(packageFolder);
  const args = [
    ...recipes.flags,
    ...recipes.warnings,
    "-Werror",
    "-fsyntax-only",
    '-DGSIC_BUNDLE=""', // the build that an example runs
    ...recipes.include.map((folder) => `-I${folder}`),
    ...packages.flatMap((folder) => ["-isystem", folder]),
  ];
  const texts = new Map<string, string>();
  for (const file of files) texts.set(file, await readFile(join(root, file), "utf8"));
  const sources = files.filter((file) => extname(file) === ".cpp" && !withoutHeaders.includes(file));
  const found: Violation[][] = sources.map(() => []);
  await mkdir(join(cacheFolder(), "checked"), { recursive: true });
  await inParallel(sources, async (source, index) => {
    const read = includedBy(source, texts, recipes.include).flatMap((file) => [file, texts.get(file)!]);
    const clean = join(cacheFolder(), "checked", hashOf(compiler.version, args.join(" "), ...read));
    if (await readFile(clean).catch(() => null)) return;
    found[index] = await warningsOf(compiler, args, root, source);
    if (found[index].length === 0) await writeFile(clean, "no warnings\n");
  });
  return withoutRepeats(found.flat());
}

/** A source and the files of the repository that it includes, directly or not, in the order in which they are met. */
function includedBy(
  source: string,
  texts: ReadonlyMap<string, string>,
  folders: readonly string[],
): string[] {
  const met = new Set([source]);
  for (const file of met) {
    for (const [, name] of texts.get(file)!.matchAll(/^#include "([^"]+)"/gm)) {
      const places = [dirname(file), ...folders].map((folder) => normalize(join(folder, name!)));
      const there = places.find((place) => texts.has(place));
      if (there !== undefined) met.add(there);
    }
  }
  return [...met];
}

async function warningsOf(
  compiler: CxxCompiler,
  args: readonly string[],
  root: string,
  source: string,
): Promise<Violation[]> {
  const { code, stderr } = await execute(compiler.command, [...args, source], root);
  if (code === 0) return [];
  const messages = [...stderr.matchAll(/^([^\s:]+):(\d+):\d+: (?:fatal )?error: (.*)$/gm)];
  if (messages.length === 0)
    return [{ file: source, line: 1, what: stderr.trim(), next: "compile it by hand" }];
  return messages.map(([, file, line, what]) => ({
    file: file!,
    line: Number(line),
    what: what!,
    next: what!.includes("No such file")
      ? "node compiler/setup.mjs installs what is missing"
      : "write it without",
  }));
}

/** A header's warnings come with every source that includes it. */
function withoutRepeats(violations: readonly Violation[]): Violation[] {
  const texts = violations.map((violation) => JSON.stringify(violation));
  return violations.filter((_, index) => texts.indexOf(texts[index]!) === index);
}
