import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism, homedir, tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { GsicError } from "./errors.js";
import type { Kernel } from "./ir.js";
import { packageRoot, runtimeFolder, templatesFolder } from "./paths.js";
import type { Target } from "./target.js";

/** Folder of everything that gsic caches by content: objects, downloads. */
export function cacheFolder(): string {
  const base =
    process.env.GSIC_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "gsic");
  return base;
}

/** What a finished command left. */
interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function execute(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.on("error", reject);
    child.on("close", (code) =>
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
  });
}

/** A C++ compiler on this machine, and what it says of its version (part of every cache key). */
export interface CxxCompiler {
  readonly command: string;
  readonly version: string;
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
  throw new GsicError({
    category: "environment",
    code: "compiler-missing",
    message: `no C++ compiler answers: tried ${candidates.join(", ")}`,
    hint: "install one (Debian: apt-get install g++), or name it in the environment variable CXX",
  });
}

const kernelFlags = [
  "-std=c++17",
  "-O3",
  "-fPIC",
  "-fno-math-errno",
  "-fno-trapping-math",
  "-ffp-contract=off",
  "-fno-exceptions",
  "-fno-rtti",
  "-fvisibility=default",
  "-Wno-psabi",
];

/**
 * Compiles the kernels for one target into a shared object and returns its bytes. Objects are cached by the content
 * of source, headers, flags and compiler. `progress` is told after each kernel.
 */
export async function compileKernels(
  kernels: readonly Kernel[],
  target: Target,
  progress: (done: number) => void = () => {},
): Promise<Uint8Array> {
  const compiler = await findCompiler();
  const include = join(templatesFolder, "include");
  const headers = await contentHash(include);
  // GNU's unique symbols would keep a library loaded for ever; clang has none.
  const unloadable = compiler.version.includes("clang") ? [] : ["-fno-gnu-unique"];
  const flags = [...kernelFlags, ...unloadable, ...target.flags];
  const keys = kernels.map(({ source }) => hashOf(compiler.version, flags.join(" "), headers, source));
  const library = join(cacheFolder(), "objects", `${hashOf(...keys)}.so`);
  const cached = await readFile(library).catch(() => null);
  if (cached !== null) return cached;

  const objects = keys.map((key) => join(cacheFolder(), "objects", `${key}.o`));
  let done = 0;
  await inParallel(kernels, async (kernel, index) => {
    await cachedCompile(objects[index]!, kernel.symbol, async (output, folder) => {
      const source = join(folder, `${kernel.symbol}.cpp`);
      await writeFile(source, kernel.source);
      await run(compiler, [...flags, `-I${include}`, "-c", source, "-o", output], `kernel ${kernel.symbol}`);
    });
    progress(++done);
  });
  await cachedCompile(library, `${target.name} kernels`, async (output) => {
    await run(
      compiler,
      ["-shared", "-Wl,--build-id=none", ...objects, "-o", output, "-lm"],
      `kernels of ${target.name}`,
    );
  });
  return readFile(library);
}

/** A native program or library of the runtime, as runtime/build.json lists it. */
export type RuntimeProduct = "library" | "executable" | "tool" | "addon";

/** runtime/build.json: what makes what. Source patterns are a folder and an ending. */
interface RuntimeRecipes {
  readonly include: readonly string[];
  readonly flags: readonly string[];
  readonly outputs: Readonly<
    Record<
      RuntimeProduct,
      {
        readonly sources: readonly string[];
        readonly link: readonly string[];
        /** Folders of headers in npm packages: `name` or `name/folder`. */
        readonly packages?: readonly string[];
      }
    >
  >;
}

/** Builds (or takes from the cache) a product of the runtime; returns its path in the cache. `progress` counts sources. */
export async function buildRuntime(
  product: RuntimeProduct,
  progress: (done: number, total: number) => void = () => {},
): Promise<string> {
  const compiler = await findCompiler();
  const text = await readFile(join(runtimeFolder, "build.json"), "utf8");
  const recipes = JSON.parse(text) as RuntimeRecipes;
  const recipe = recipes.outputs[product];
  const content = await contentHash(runtimeFolder, join(templatesFolder, "include"));
  const common = hashOf(compiler.version, content, text);
  const sources = (await Promise.all(recipe.sources.map(matchingFiles))).flat();
  const objects = sources.map((source) => join(cacheFolder(), "objects", `${hashOf(common, source)}.o`));
  const output = join(cacheFolder(), "objects", hashOf(common, product));
  let done = 0;
  await cachedCompile(output, product, async (temporary) => {
    await inParallel(sources, async (source, index) => {
      await cachedCompile(objects[index]!, source, async (object) => {
        const folders = recipes.include.map((folder) => join(packageRoot, folder));
        const includes = [...folders, ...(recipe.packages ?? []).map(packageFolder)].map((one) => `-I${one}`);
        await run(compiler, [...recipes.flags, ...includes, "-c", source, "-o", object], source);
      });
      progress(++done, sources.length);
    });
    const link = recipe.link.map((flag) => flag.replace("runtime/", `${runtimeFolder}/`));
    await run(compiler, [...objects, ...link, "-o", temporary], product);
  });
  return output;
}

/** The absolute path of `name` or `name/folder`, a package that npm installed. */
function packageFolder(path: string): string {
  const [name, ...inside] = path.split("/");
  const file = createRequire(import.meta.url).resolve(`${name}/package.json`);
  return join(dirname(file), ...inside);
}

/** Files that a pattern such as `runtime/src/*.cpp` names; mains of tests are not among them. */
async function matchingFiles(pattern: string): Promise<string[]> {
  const folder = join(packageRoot, dirname(pattern));
  const names = await readdir(folder);
  return names
    .filter((name) => name.endsWith(extname(pattern)) && !name.endsWith("_test_main.cpp"))
    .sort()
    .map((name) => join(folder, name));
}

/** Makes `output` through `make` unless it is there; the file appears whole or not at all. */
async function cachedCompile(
  output: string,
  what: string,
  make: (output: string, folder: string) => Promise<void>,
): Promise<void> {
  if ((await readFile(output).catch(() => null)) !== null) return;
  await mkdir(join(cacheFolder(), "objects"), { recursive: true });
  const folder = await mkdtemp(join(tmpdir(), "gsic-cc-"));
  try {
    const made = join(folder, "output");
    await make(made, folder);
    const beside = `${output}.${process.pid}.tmp`;
    await copyFile(made, beside).catch((cause: unknown) => {
      throw new GsicError({
        category: "environment",
        code: "cache-unwritable",
        message: `cannot store the compiled ${what}`,
        where: beside,
        hint: "free space, or set GSIC_CACHE to a folder that can be written",
        cause,
      });
    });
    await rename(beside, output);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function run(compiler: CxxCompiler, args: readonly string[], what: string): Promise<void> {
  const { code, stderr } = await execute(compiler.command, args);
  if (code === 0) return;
  const lines = stderr.split("\n");
  const first =
    lines.find((line) => /\berror:|undefined reference|cannot find -l/.test(line)) ?? lines[0] ?? "";
  const missing = /fatal error: ([\w/.]+): No such file|cannot find -l(\w+)/.exec(stderr);
  throw new GsicError({
    category: missing ? "environment" : "defect",
    code: missing ? "system-package-missing" : "compile-failed",
    message: `${compiler.command} could not compile ${what}\n${stderr.slice(0, 4000)}\nfirst error: ${first.trim()}`,
    where: what,
    hint: missing
      ? `install the package that has ${missing[1] ?? missing[2]}; node compiler/setup.mjs names it`
      : "this is a defect of gsic; please report it with the message above",
  });
}

async function inParallel<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      await work(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), items.length) }, worker));
}

/** Hash of the names and contents of all C and C++ files below folders. */
async function contentHash(...folders: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const folder of folders) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile() && /\.(h|hpp|c|cpp|map)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const file of files)
      hash
        .update(`${file.slice(folder.length)}\0`)
        .update(await readFile(file))
        .update("\0");
  }
  return hash.digest("hex");
}

function hashOf(...parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("hex").slice(0, 40);
}
