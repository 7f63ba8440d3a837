import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cachedCompile, contentHash, hashOf, objectPath } from "../../compiler/cc/cache.js";

const run = promisify(execFile);
const runtime = fileURLToPath(new URL("..", import.meta.url));
const include = ["include", "../templates/include", "src"].flatMap((name) => ["-I", join(runtime, name)]);
const flags = ["-std=c++17", "-O1", "-g", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/** The C++ sources of a folder of the runtime. */
export const sources = (folder: string): string[] =>
  readdirSync(join(runtime, folder))
    .filter((file) => file.endsWith(".cpp") && !file.endsWith("_test_main.cpp"))
    .map((file) => join(runtime, folder, file));

/** C++ sources of a folder of the runtime by their names, without the ending. */
export const named = (folder: string, names: readonly string[]): string[] =>
  names.map((name) => join(runtime, folder, `${name}.cpp`));

/** The tokenizer's sources in runtime/src. */
export const tokenizerSources = [
  "added_tokens",
  "byte_pairs",
  "normalize",
  "pre_tokenizer",
  "tokenizer",
  "tokenizer_pattern",
  "tokenizer_section",
  "utf8",
  "vocabulary",
];

/** What the runtime's sources are linked with, as in runtime/build.json. */
const libraries = ["-l:libpcre2-8.a", "-l:libutf8proc.a", "-pthread", "-ldl"];

/** What every object depends on besides its source and flags: the compiler, and all headers. */
let headers: Promise<string> | undefined;

async function hashOfHeaders(): Promise<string> {
  const folders = [runtime, join(runtime, "../templates/include")];
  return hashOf((await run("g++", ["--version"])).stdout, await contentHash(folders, [".h"]));
}

/**
 * Compiles sources on two cores, and links them to the program `output`. Objects are cached by content, as those of gsic are:
 * several suites compile the runtime with the same sanitizers.
 */
export async function build(
  output: string,
  files: readonly string[],
  more: readonly string[] = [],
  link: readonly string[] = [],
): Promise<void> {
  headers ??= hashOfHeaders();
  const common = hashOf("object of a test", await headers, ...flags, ...more);
  const objects: string[] = [];
  const queue = [...files];
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const source = file;
      const object = objectPath(
        `${hashOf(common, relative(runtime, source), await readFile(source, "utf8"))}.o`,
      );
      await cachedCompile(object, source, async (made) => {
        await run("g++", [...flags, ...more, ...include, "-c", source, "-o", made]);
      });
      objects.push(object);
    }
  };
  await Promise.all([work(), work()]);
  await run("g++", [...more, ...objects, "-o", output, ...libraries, ...link]);
}

/** Compiles the kernels of the test model: `kernels` for the CPU, `gpu_kernels` for the mock driver of a GPU. */
export async function buildKernels(output: string, name = "kernels"): Promise<void> {
  const source = join(runtime, `testing/${name}.cpp`);
  await run("g++", [
    "-O1",
    "-fPIC",
    "-shared",
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
