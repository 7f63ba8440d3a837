import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { packageRoot, runtimeFolder, templatesFolder } from "../support/paths.js";
import { inParallel } from "../support/process.js";
import type { Progress } from "../support/progress.js";
import { cachedCompile, contentHash, hashOf, objectPath } from "./cache.js";
import { type CxxCompiler, findCompiler, run } from "./compilers.js";
import { prebuiltProduct, type RuntimeProduct, unusablePrebuilt } from "./prebuilt.js";

export type { RuntimeProduct } from "./prebuilt.js";

/** runtime/build.json: what makes what. Source patterns are a folder and an ending. */
interface RuntimeRecipes {
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

/** What a product is made of: its sources, and what else its code depends on besides the compiler. */
interface Ingredients {
  /** Absolute paths. */
  readonly sources: readonly string[];
  /** What the sources say, in their order. */
  readonly texts: readonly string[];
  readonly flags: readonly string[];
  /** Folders of headers, absolute. */
  readonly include: readonly string[];
  /** npm packages with headers, as build.json names them. */
  readonly packages: readonly string[];
  /** Hash of every header that a source may include. */
  readonly headers: string;
  readonly link: readonly string[];
  /** Hash of the version scripts that `link` names. */
  readonly scripts: string;
}

async function ingredients(product: RuntimeProduct): Promise<Ingredients> {
  const recipes = await runtimeRecipes();
  const { sources: patterns, link, packages = [] } = recipes.outputs[product];
  const sources = (await Promise.all(patterns.map(matchingFiles))).flat();
  return {
    sources,
    texts: await Promise.all(sources.map((source) => readFile(source, "utf8"))),
    flags: recipes.flags,
    include: recipes.include.map((folder) => join(packageRoot, folder)),
    packages,
    headers: await headersHash(recipes),
    link,
    scripts: await linkerScripts(link),
  };
}

/** Hash of all that a product is made of, whatever compiles it: what a prebuilt product says it was made from. */
export async function sourcesHash(product: RuntimeProduct): Promise<string> {
  return hashOfIngredients(await ingredients(product));
}

function hashOfIngredients({ flags, packages, headers, texts, link, scripts }: Ingredients): string {
  return hashOf(flags.join(" "), JSON.stringify(packages), headers, ...texts, link.join(" "), scripts);
}

/** Told how many sources are compiled, from 0 on; nothing where none has to be. */
type SourceCount = (done: number, total: number) => void;

/**
 * The path of a product of the runtime: one that came compiled from the sources that are here (prebuilt.ts), or else
 * one in the cache, compiled if need be. The file's name changes whenever the product does.
 */
export async function buildRuntime(
  product: RuntimeProduct,
  progress: SourceCount = () => {},
): Promise<string> {
  const parts = await ingredients(product);
  return (
    (await prebuiltProduct(product, hashOfIngredients(parts))) ??
    (await compileParts(product, parts, progress))
  );
}

/** Whether `buildRuntime` has nothing to compile because a product came compiled. */
export async function isPrebuilt(product: RuntimeProduct): Promise<boolean> {
  return (await prebuiltProduct(product, await sourcesHash(product))) !== null;
}

/** A product that is compiled here, whether or not one came compiled. */
export async function compileRuntime(
  product: RuntimeProduct,
  progress: SourceCount = () => {},
): Promise<string> {
  return compileParts(product, await ingredients(product), progress);
}

async function compileParts(
  product: RuntimeProduct,
  parts: Ingredients,
  progress: SourceCount,
): Promise<string> {
  const compiler = await findCompiler();
  const keys = objectKeys(parts, compiler);
  const output = objectPath(hashOf(...keys, parts.link.join(" "), parts.scripts));
  await cachedCompile(output, product, async (temporary) => {
    const objects = await compileSources(parts, compiler, progress);
    const link = parts.link.map((flag) => flag.replace("runtime/", `${runtimeFolder}/`));
    await run(compiler, [...objects, ...link, "-o", temporary], product);
  });
  return output;
}

/** The object files of a product, in the cache, compiled if need be. */
export async function runtimeObjects(product: RuntimeProduct, progress: SourceCount): Promise<string[]> {
  return compileSources(await ingredients(product), await findCompiler(), progress);
}

function objectKeys({ flags, packages, headers, texts }: Ingredients, { version }: CxxCompiler): string[] {
  return texts.map((text) => hashOf(version, flags.join(" "), JSON.stringify(packages), headers, text));
}

async function compileSources(
  parts: Ingredients,
  compiler: CxxCompiler,
  progress: SourceCount,
): Promise<string[]> {
  const { sources, flags, include, packages } = parts;
  const objects = objectKeys(parts, compiler).map((key) => objectPath(`${key}.o`));
  let done = 0;
  progress(0, sources.length);
  await inParallel(sources, async (source, index) => {
    await cachedCompile(objects[index]!, source, async (object) => {
      const includes = [...include, ...packages.map(packageFolder)].map((one) => `-I${one}`);
      await run(compiler, [...flags, ...includes, "-c", source, "-o", object], source);
    });
    progress(++done, sources.length);
  });
  return objects;
}

/** What people call the products. */
const productNames: Readonly<Record<RuntimeProduct, string>> = {
  library: "the runtime's library",
  executable: "the runtime's executable",
  tool: "gsic's native tool",
  addon: "the addon for Node",
  "mock-driver": "the mock GPU driver",
};

/** Compiles products that neither came compiled nor are in the cache yet, each as a stage that says so. */
export async function prepareRuntime(products: readonly RuntimeProduct[], progress: Progress): Promise<void> {
  let told = false;
  for (const product of products) {
    let update: ReturnType<Progress["stage"]> | undefined;
    await buildRuntime(product, (done, total) => {
      if (!told) noteWhy(progress);
      told = true;
      update ??= progress.stage(`Compiling ${productNames[product]}, once`);
      update(done, total);
    });
  }
}

/** Says why the products that gsic comes with are of no use here, where it came with some. */
function noteWhy(progress: Progress): void {
  const why = unusablePrebuilt();
  if (why !== null) progress.note(`${why}: gsic's native parts are compiled here, once`);
}

/** Headers of the kernels' interfaces, which the runtime includes too. */
const sharedHeaders = ["gsic/abi.h", "gsic/simulation.h"];

/** Hash of every header that a source of the runtime may include; those of tests are not among them. */
async function headersHash({ include, outputs }: RuntimeRecipes): Promise<string> {
  const patterns = Object.values(outputs).flatMap(({ sources }) => sources.map(dirname));
  const own = [...include, ...patterns].filter((folder) => folder.startsWith("runtime/"));
  const folders = [...new Set(own)].sort().map((folder) => join(packageRoot, folder));
  const shared = sharedHeaders.map((header) => readFile(join(templatesFolder, "include", header), "utf8"));
  return hashOf(await contentHash(folders, [".h"]), ...(await Promise.all(shared)));
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
