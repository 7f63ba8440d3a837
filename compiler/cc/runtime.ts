import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { packageRoot, runtimeFolder, templatesFolder } from "../support/paths.js";
import { inParallel } from "../support/process.js";
import type { Progress } from "../support/progress.js";
import { cachedCompile, contentHash, hashOf, objectPath } from "./cache.js";
import { findCompiler, run } from "./compilers.js";

/** A native program or library of the runtime, as runtime/build.json lists it. */
export type RuntimeProduct = "library" | "executable" | "tool" | "addon" | "standin";

/** runtime/build.json: what makes what. Source patterns are a folder and an ending. */
export interface RuntimeRecipes {
  readonly include: readonly string[];
  readonly flags: readonly string[];
  /** For `npm run check` alone (testing/cpp/warnings.ts): no build depends on what a compiler warns of. */
  readonly warnings: readonly string[];
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

/** What runtime/build.json says. */
export async function runtimeRecipes(): Promise<RuntimeRecipes> {
  return JSON.parse(await readFile(join(runtimeFolder, "build.json"), "utf8")) as RuntimeRecipes;
}

/**
 * Builds (or takes from the cache) a product of the runtime; returns its path in the cache. `progress` counts
 * sources, from 0 on; it is told nothing where the product is there.
 */
export async function buildRuntime(
  product: RuntimeProduct,
  progress: (done: number, total: number) => void = () => {},
): Promise<string> {
  const compiler = await findCompiler();
  const recipes = await runtimeRecipes();
  const recipe = recipes.outputs[product];
  const sources = (await Promise.all(recipe.sources.map(matchingFiles))).flat();
  const headers = await headersHash();
  const packages = JSON.stringify(recipe.packages ?? []);
  const keys = await Promise.all(
    sources.map(async (source) =>
      hashOf(compiler.version, recipes.flags.join(" "), packages, headers, await readFile(source, "utf8")),
    ),
  );
  const objects = keys.map((key) => objectPath(`${key}.o`));
  const output = objectPath(hashOf(...keys, recipe.link.join(" "), await linkerScripts(recipe.link)));
  let done = 0;
  await cachedCompile(output, product, async (temporary) => {
    progress(0, sources.length);
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

/** What people call the products. */
const productNames: Readonly<Record<RuntimeProduct, string>> = {
  library: "the runtime's library",
  executable: "the runtime's executable",
  tool: "gsic's native tool",
  addon: "the addon for Node",
  standin: "the simulated GPU driver",
};

/** Compiles products that are not in the cache yet, each as a stage that says so. */
export async function prepareRuntime(products: readonly RuntimeProduct[], progress: Progress): Promise<void> {
  for (const product of products) {
    let update: ReturnType<Progress["stage"]> | undefined;
    await buildRuntime(product, (done, total) => {
      update ??= progress.stage(`Compiling ${productNames[product]}, once`);
      update(done, total);
    });
  }
}

/** Headers of the kernels' interfaces, which the runtime includes too. */
const sharedHeaders = ["gsic/abi.h", "gsic/simulation.h"];

/** Hash of every header that a source of the runtime may include. */
async function headersHash(): Promise<string> {
  const shared = sharedHeaders.map((header) => readFile(join(templatesFolder, "include", header), "utf8"));
  return hashOf(await contentHash([runtimeFolder], [".h"]), ...(await Promise.all(shared)));
}

/** Contents of the version scripts that link flags name. */
async function linkerScripts(flags: readonly string[]): Promise<string> {
  const files = flags.flatMap((flag) => /--version-script=(.+)/.exec(flag)?.[1] ?? []);
  return hashOf(...(await Promise.all(files.map((file) => readFile(join(packageRoot, file), "utf8")))));
}

/** The absolute path of `name` or `name/folder`, a package that npm installed. */
export function packageFolder(path: string): string {
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
