import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { packageRoot, runtimeFolder, templatesFolder } from "../paths.js";
import { cachedCompile, contentHash, hashOf, objectPath } from "./cache.js";
import { findCompiler, run } from "./compilers.js";
import { inParallel } from "./process.js";

/** A native program or library of the runtime, as runtime/build.json lists it. */
export type RuntimeProduct = "library" | "executable" | "tool" | "addon" | "standin";

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
  const objects = sources.map((source) => objectPath(`${hashOf(common, source)}.o`));
  const output = objectPath(hashOf(common, product));
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
