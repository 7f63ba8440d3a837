/**
 * `npm run prebuilt`: compiles the runtime's products for the npm package, into runtime/prebuilt/linux-x64. The objects
 * are those that a build on this machine makes, so the code and its results are the same; Zig's linker puts them together
 * with static libraries, against the symbols of an older glibc, so that they run on older systems too. Products whose
 * sources have not changed are left alone. Needs Python, which fetches Zig (100 MB) the first time.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hashOf } from "../../cc/cache.js";
import { findCompiler } from "../../cc/compilers.js";
import { compileGeneric, genericHash } from "../../cc/generic.js";
import {
  listName,
  type PrebuiltList,
  type PrebuiltProduct,
  platform,
  prebuiltFolder,
  type RuntimeProduct,
  readList,
} from "../../cc/prebuilt.js";
import { sourcesHash } from "../../cc/runtime.js";
import { machineTargets } from "../../config/targets.js";
import { GsicError } from "../../support/errors.js";
import { terminalProgress } from "../../support/progress.js";
import { compatText, fail, findZig, glibc, licences, link, requireOldGlibc, zigVersion } from "./link.js";

const products: readonly RuntimeProduct[] = ["library", "executable", "tool", "addon", "mock-driver"];
const folder = join(prebuiltFolder, "linux-x64");
const progress = terminalProgress();

await main().catch((error: unknown) => {
  progress.finish();
  if (!(error instanceof GsicError)) throw error;
  console.error(`gsic: ${error.message}\n  next  ${error.hint}`);
  process.exitCode = 1;
});

async function main(): Promise<void> {
  if (platform !== "linux-x64") fail(`products are made on linux-x64 for linux-x64; this is ${platform}`);
  const compiler = await findCompiler();
  const madeBy = `${compiler.version.split("\n")[0]}, Zig ${zigVersion}, ${hashOf(await compatText()).slice(0, 8)}`;
  const hashes = new Map<RuntimeProduct, string>();
  for (const product of products) hashes.set(product, await sourcesHash(product));
  const before = readList(folder);
  const kernelSources = await genericHash();
  const isCurrent =
    products.every((product) => before?.products[product]?.sources === hashes.get(product)) &&
    machineTargets().every(({ name }) => before?.kernels?.[name]?.sources === kernelSources);
  if (isCurrent && before?.madeBy === madeBy) return console.error(`gsic: ${folder} is up to date`);

  const zig = await findZig(() => progress.stage("Fetching Zig"));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const made: Partial<Record<RuntimeProduct, PrebuiltProduct>> = {};
  for (const product of products) {
    const output = join(folder, product);
    await link(zig, product, output, progress.stage(`Compiling the ${product} for other machines`));
    made[product] = { file: await kept(output, product), sources: hashes.get(product)! };
    await rm(output);
  }
  const kernels: Record<string, PrebuiltProduct> = {};
  for (const target of machineTargets()) {
    const update = progress.stage(`Compiling kernels of all shapes for ${target.name}`);
    const library = await compileGeneric(target, update);
    await requireOldGlibc(library, `kernels-${target.name}`);
    const file = await kept(library, `kernels-${target.name}`);
    kernels[target.name] = { file, sources: kernelSources };
  }
  await writeFile(join(folder, "LICENSES.txt"), await licences());
  const list: PrebuiltList = { glibc, madeBy, products: made, kernels };
  await writeFile(join(folder, listName), `${JSON.stringify(list, null, 2)}\n`);
  progress.finish();
}

/** Copies a file into the folder, with a hash of its contents in its name, which is returned. */
async function kept(output: string, what: string): Promise<string> {
  const contents = createHash("sha256")
    .update(await readFile(output))
    .digest("hex")
    .slice(0, 12);
  const name = `${what}-${contents}`;
  await copyFile(output, join(folder, name));
  return name;
}
