import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type CxxCompiler, findCompiler } from "../../compiler/cc/compilers.js";
import { compileObjects, plainSource } from "../../compiler/cc/objects.js";
import { runtimeTogether } from "../../compiler/cc/runtime.js";

const run = promisify(execFile);
const runtime = fileURLToPath(new URL("..", import.meta.url));
const include = ["include", "../templates/include", "src"].map((name) => join(runtime, name));

/** What errors of memory and undefined behaviour end a program with: the same for all, so that they share objects. */
const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
const flags = [
  "-std=c++17",
  "-O1",
  "-g1",
  "-fPIC",
  "-pthread",
  "-Wall",
  "-Wextra",
  "-Wpedantic",
  "-Werror",
  // Of sources that are compiled as one text: what only one of them has, is no header's.
  "-Wno-subobject-linkage",
  ...sanitizers,
];

/** The C++ sources of a folder of the runtime. */
export const sources = (folder: string): string[] =>
  readdirSync(join(runtime, folder))
    .filter((file) => file.endsWith(".cpp") && !file.endsWith("_test_main.cpp"))
    .map((file) => join(runtime, folder, file));

/** C++ sources of a folder of the runtime by their names, without the ending. */
export const named = (folder: string, names: readonly string[]): string[] =>
  names.map((name) => join(runtime, folder, `${name}.cpp`));

/** What the runtime's sources are linked with, as in runtime/build.json. */
const libraries = ["-l:libpcre2-8.a", "-l:libutf8proc.a", "-pthread", "-ldl"];

/**
 * Compiles sources with sanitizers, and links them to the program `output`. Objects are cached by content, as those of gsic
 * are: several suites compile the runtime with the same sanitizers. Programs without them are gsic's own products
 * (`buildRuntime`).
 */
export async function build(
  output: string,
  files: readonly string[],
  link: readonly string[] = [],
): Promise<void> {
  const compiler: CxxCompiler = await findCompiler();
  const backwards = Number(process.env.VITEST_POOL_ID) % 2 === 0;
  const how = { compiler, flags, include, together: runtimeTogether, backwards };
  const objects = await compileObjects(await Promise.all(files.map(plainSource)), how);
  await run(compiler.command, [...sanitizers, ...objects, "-o", output, ...libraries, ...link]);
}

/** Compiles the kernels of the test model: `kernels` for the CPU, `gpu_kernels` for the mock driver of a GPU. */
export async function buildKernels(
  output: string,
  name = "kernels",
  more: readonly string[] = [],
): Promise<void> {
  const source = join(runtime, `testing/${name}.cpp`);
  await run("g++", [
    "-O1",
    "-fPIC",
    "-shared",
    ...more,
    "-I",
    join(runtime, "../templates/include"),
    source,
    "-o",
    output,
  ]);
}

/** Runs a program, `environment` added to this process's own; its exit code and what it printed. */
export async function finish(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const env = { ...process.env, ...environment };
    return { code: 0, ...(await run(program, args, { maxBuffer: 1 << 28, env })) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}
