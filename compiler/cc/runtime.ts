import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, extname, join } from "node:path";
import { cacheFolder, packageRoot, runtimeFolder, templatesFolder } from "../support/paths.js";
import type { Progress } from "../support/progress.js";
import { cachedCompile, contentHash, hashOf, objectPath } from "./cache.js";
import { type CxxCompiler, findCompiler, run } from "./compilers.js";
import { Includes } from "./includes.js";
import { type Compilation, compileObjects, objectsOf, type Source, type SourceCount } from "./objects.js";
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
        /** Folders of headers in npm packages that the product's own sources, the last pattern, need: `name` or `name/folder`. */
        readonly packages?: readonly string[];
      }
    >
  >;
}

/** What runtime/build.json says. */
export async function runtimeRecipes(): Promise<RuntimeRecipes> {
  return JSON.parse(await readFile(join(runtimeFolder, "build.json"), "utf8")) as RuntimeRecipes;
}

/** What a product is made of, and what else its code depends on besides the compiler. */
interface Ingredients {
  readonly sources: readonly Source[];
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
  const own = patterns.at(-1)!;
  headers ??= headersHash(recipes);
  const sources = await Promise.all(
    patterns.map(async (pattern) => sourcesOf(pattern, pattern === own ? packages : [])),
  );
  return {
    sources: sources.flat(),
    flags: recipes.flags,
    include: recipes.include.map((folder) => join(packageRoot, folder)),
    packages,
    headers: await headers,
    link,
    scripts: await linkerScripts(link),
  };
}

/** The sources that a pattern names. The runtime's own need no packages, so that all products share their objects. */
async function sourcesOf(pattern: string, packages: readonly string[]): Promise<Source[]> {
  const paths = await matchingFiles(pattern);
  const folders = packages.map(packageFolder);
  return Promise.all(
    paths.map(async (path) => {
      return { path, text: await textOf(path), packages: folders, packageNames: packages };
    }),
  );
}

/** Hash of all that a product is made of, whatever compiles it: what a prebuilt product says it was made from. */
export async function sourcesHash(product: RuntimeProduct): Promise<string> {
  return hashOfIngredients(await ingredients(product));
}

function hashOfIngredients({ flags, packages, headers, sources, link, scripts }: Ingredients): string {
  const texts = sources.map(({ text }) => text);
  return hashOf(flags.join(" "), JSON.stringify(packages), headers, ...texts, link.join(" "), scripts);
}

/** Where products were found, by all that decides it besides sources, which stay as they are while gsic runs. */
const found = new Map<string, string>();

/**
 * The path of a product of the runtime: one that came compiled from the sources that are here (prebuilt.ts), or else
 * one in the cache, compiled if need be. The file's name changes whenever the product does.
 */
export async function buildRuntime(
  product: RuntimeProduct,
  progress: SourceCount = () => {},
): Promise<string> {
  const { GSIC_PREBUILT, CXX } = process.env;
  const key = JSON.stringify([product, cacheFolder(), GSIC_PREBUILT, CXX]);
  const known = found.get(key);
  if (known !== undefined && existsSync(known)) return known;
  const parts = await ingredients(product);
  const path =
    (await prebuiltProduct(product, hashOfIngredients(parts))) ??
    (await compileParts(product, parts, progress));
  found.set(key, path);
  return path;
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
  const how = compilation(parts, await findCompiler());
  const objects = await objectsOf(parts.sources, how);
  const output = objectPath(
    hashOf(...objects.map((object) => basename(object)), parts.link.join(" "), parts.scripts),
  );
  await cachedCompile(output, product, async (temporary) => {
    progress(0, parts.sources.length);
    await compileObjects(parts.sources, how, progress);
    const link = parts.link.map((flag) => flag.replace("runtime/", `${runtimeFolder}/`));
    await run(how.compiler, [...objects, ...link, "-o", temporary], product);
  });
  return output;
}

/** The object files of a product, in the cache, compiled if need be. */
export async function runtimeObjects(product: RuntimeProduct, progress: SourceCount): Promise<string[]> {
  const parts = await ingredients(product);
  return compileObjects(parts.sources, compilation(parts, await findCompiler()), progress);
}

function compilation({ flags, include }: Ingredients, compiler: CxxCompiler): Compilation {
  includes ??= new Includes(include);
  return { compiler, flags, include, includes, together: runtimeTogether };
}

/** Products have most sources and headers in common: each is read once. */
let includes: Includes | undefined;
const texts = new Map<string, Promise<string>>();

function textOf(path: string): Promise<string> {
  const text = texts.get(path) ?? readFile(path, "utf8");
  texts.set(path, text);
  return text;
}

/** Sources of the runtime that are compiled as one: fewer take longer in all, more leave cores without work. */
export const runtimeTogether = 8;

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

let headers: Promise<string> | undefined;

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
