/**
 * `npm run prebuilt`: compiles the runtime's products for the npm package, into runtime/prebuilt/linux-x64. The objects
 * are those that a build on this machine makes, so the code and its results are the same; Zig's linker puts them together
 * with static libraries, against the symbols of an older glibc, so that they run on older systems too. Products whose
 * sources have not changed are left alone. Needs Python, which fetches Zig (100 MB) the first time.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hashOf, objectPath } from "../../cc/cache.js";
import { findCompiler, run } from "../../cc/compilers.js";
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
import { runtimeObjects, runtimeRecipes, sourcesHash } from "../../cc/runtime.js";
import { machineTargets } from "../../config/targets.js";
import { GsicError } from "../../support/errors.js";
import { packageRoot, runtimeFolder } from "../../support/paths.js";
import { execute } from "../../support/process.js";
import { terminalProgress } from "../../support/progress.js";
import { glibcNeeded } from "./needs.js";

/** The oldest glibc that the products are for: Debian 10's, RHEL 8's. */
const glibc = "2.28";
const zigVersion = "0.17.1";
const products: readonly RuntimeProduct[] = ["library", "executable", "tool", "addon", "mock-driver"];
/** Debian packages whose code is in the products; their licences ask to be named. */
const inside = [
  "libopenblas-dev",
  "libpcre2-dev",
  "libstdc++6",
  "libutf8proc-dev",
  "nlohmann-json3-dev",
  "libxxhash-dev",
];

const folder = join(prebuiltFolder, "linux-x64");
const compat = join(runtimeFolder, "compat/older_glibc.cpp");
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
  const compatText = await readFile(compat, "utf8");
  const madeBy = `${compiler.version.split("\n")[0]}, Zig ${zigVersion}, ${hashOf(compatText).slice(0, 8)}`;
  const hashes = new Map<RuntimeProduct, string>();
  for (const product of products) hashes.set(product, await sourcesHash(product));
  const before = readList(folder);
  const kernelSources = await genericHash();
  const isCurrent =
    products.every((product) => before?.products[product]?.sources === hashes.get(product)) &&
    machineTargets().every(({ name }) => before?.kernels?.[name]?.sources === kernelSources);
  if (isCurrent && before?.madeBy === madeBy) return console.error(`gsic: ${folder} is up to date`);

  const zig = await findZig();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const made: Partial<Record<RuntimeProduct, PrebuiltProduct>> = {};
  for (const product of products) {
    made[product] = { file: await link(zig, product), sources: hashes.get(product)! };
  }
  const kernels: Record<string, PrebuiltProduct> = {};
  for (const target of machineTargets()) {
    const update = progress.stage(`Compiling kernels of all shapes for ${target.name}`);
    const file = await kept(await compileGeneric(target, update), `kernels-${target.name}`);
    kernels[target.name] = { file, sources: kernelSources };
  }
  await writeFile(join(folder, "LICENSES.txt"), await licences());
  const list: PrebuiltList = { glibc, madeBy, products: made, kernels };
  await writeFile(join(folder, listName), `${JSON.stringify(list, null, 2)}\n`);
  progress.finish();
}

/** Compiles and links a product; returns the name of its file in the folder. Fails if it needs a newer glibc. */
async function link(zig: string, product: RuntimeProduct): Promise<string> {
  const update = progress.stage(`Compiling the ${product} for other machines`);
  const objects = await runtimeObjects(product, update);
  const compiler = await findCompiler();
  const help = objectPath(`${hashOf(compiler.version, await readFile(compat, "utf8"))}.o`);
  await run(compiler, ["-O2", "-fPIC", "-fvisibility=hidden", "-c", compat, "-o", help], compat);
  const output = join(folder, product);
  const recipe = (await runtimeRecipes()).outputs[product].link;
  const libraries = [await archive("stdc++"), await archive("gcc")];
  const args = [
    ...[
      "-m",
      "ziglang",
      "c++",
      "-nostdlib++",
      "-target",
      `x86_64-linux-gnu.${glibc}`,
      "-s",
      "-Wl,--gc-sections",
    ],
    ...[...objects, help],
    ...(await Promise.all(recipe.map(statically))).flat(),
    ...[...libraries, "-lunwind", "-lm", "-lpthread", "-ldl", "-o", output],
  ];
  const { code, stderr } = await execute(zig, args, packageRoot);
  if (code !== 0) fail(`Zig does not link ${product}: ${stderr.slice(0, 4000)}`);
  const name = await kept(output, product);
  await rm(output);
  return name;
}

/** Copies a file into the folder, with a hash of its contents in its name, which is returned. Fails if it needs a newer glibc. */
async function kept(output: string, what: string): Promise<string> {
  const needed = await glibcNeeded(output);
  if (needed > Number(glibc.split(".")[1])) fail(`${what} needs glibc 2.${needed}`);
  const contents = createHash("sha256")
    .update(await readFile(output))
    .digest("hex")
    .slice(0, 12);
  const name = `${what}-${contents}`;
  await copyFile(output, join(folder, name));
  return name;
}

/** A flag of build.json, with static libraries instead of this machine's shared ones. */
async function statically(flag: string): Promise<string[]> {
  if (flag.startsWith("-static-")) return [];
  const name = /^-l:lib(.+)\.a$/.exec(flag)?.[1] ?? (flag === "-lopenblas" ? "openblas" : undefined);
  return [name === undefined ? flag : await archive(name)];
}

/** The path of a static library on this machine. */
async function archive(name: string): Promise<string> {
  const { command } = await findCompiler();
  const path = (await execute(command, [`-print-file-name=lib${name}.a`])).stdout.trim();
  if (!path.startsWith("/")) fail(`${command} knows no lib${name}.a`);
  return path;
}

/** A Python that has Zig, in a virtual environment of the checkout. */
async function findZig(): Promise<string> {
  const home = join(packageRoot, "build/zig");
  const python = join(home, "bin/python3");
  const ready = await execute(python, ["-m", "ziglang", "version"]).catch(() => null);
  if (ready?.stdout.trim() === zigVersion) return python;
  progress.stage("Fetching Zig");
  for (const [command, ...args] of [
    ["python3", "-m", "venv", home],
    [python, "-m", "pip", "install", "-q", `ziglang==${zigVersion}`],
  ] as const) {
    const { code, stderr } = await execute(command, args);
    if (code !== 0) fail(`${command} ${args.join(" ")} ended with ${code}: ${stderr}`);
  }
  return python;
}

/** The licences of the libraries that are inside. */
async function licences(): Promise<string> {
  const texts = inside.map(async (name) => {
    const text = await readFile(join("/usr/share/doc", name, "copyright"), "utf8");
    return `==== ${name} ====\n\n${text}`;
  });
  const zig = (await findFiles(join(packageRoot, "build/zig/lib"), "ziglang/LICENSE"))[0];
  const unwind =
    zig === undefined ? [] : [`==== Zig (LLVM's libunwind) ====\n\n${await readFile(zig, "utf8")}`];
  return [...(await Promise.all(texts)), ...unwind].join("\n\n");
}

async function findFiles(folder: string, ending: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => name.endsWith(ending)).map((name) => join(folder, name));
}

function fail(message: string): never {
  throw new GsicError({
    category: "environment",
    code: "prebuilt-failed",
    message,
    hint: "npm pack needs these products; node compiler/setup.mjs installs what a build needs",
  });
}
