/**
 * Links products of the runtime for older systems: the objects are those that a build on this machine makes, so the code
 * and its results are the same; Zig's linker puts them together with static libraries, against the symbols of an older
 * glibc.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { hashOf, objectPath } from "../../cc/cache.js";
import { findCompiler, run } from "../../cc/compilers.js";
import type { SourceCount } from "../../cc/objects.js";
import type { RuntimeProduct } from "../../cc/prebuilt.js";
import { runtimeObjects, runtimeRecipes } from "../../cc/runtime.js";
import { GsicError } from "../../support/errors.js";
import { packageRoot, runtimeFolder } from "../../support/paths.js";
import { execute } from "../../support/process.js";
import { glibcNeeded } from "./needs.js";

/** The oldest glibc that products are for: Debian 10's, RHEL 8's. */
export const glibc = "2.28";
/** The version of Zig whose linker is used. */
export const zigVersion = "0.17.1";
/** Debian packages whose code is in the products; their licences ask to be named. */
const inside = [
  "libopenblas-dev",
  "libpcre2-dev",
  "libstdc++6",
  "libutf8proc-dev",
  "nlohmann-json3-dev",
  "libxxhash-dev",
];
const compat = join(runtimeFolder, "compat/older_glibc.cpp");

/** The text of what is linked into products for the sake of older systems. */
export async function compatText(): Promise<string> {
  return readFile(compat, "utf8");
}

/** The object of what is linked into products for the sake of older systems, compiled if need be. */
export async function compatObject(): Promise<string> {
  const compiler = await findCompiler();
  const help = objectPath(`${hashOf(compiler.version, "sections", await compatText())}.o`);
  await run(
    compiler,
    ["-O2", "-fPIC", "-ffunction-sections", "-fvisibility=hidden", "-c", compat, "-o", help],
    compat,
  );
  return help;
}

/** Compiles and links a product into the file `output`. Fails if it needs a newer glibc. */
export async function link(
  zig: string,
  product: RuntimeProduct,
  output: string,
  update: SourceCount,
): Promise<void> {
  const objects = await runtimeObjects(product, update);
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
    ...[...objects, await compatObject()],
    ...(await Promise.all(recipe.map(statically))).flat(),
    ...[...libraries, "-lunwind", "-lm", "-lpthread", "-ldl", "-o", output],
  ];
  const { code, stderr } = await execute(zig, args, packageRoot);
  if (code !== 0) fail(`Zig does not link ${product}: ${stderr.slice(0, 4000)}`);
  await requireOldGlibc(output, product);
}

/** Fails if a program or library needs a newer glibc than `glibc`. */
export async function requireOldGlibc(file: string, what: string): Promise<void> {
  const needed = await glibcNeeded(file);
  if (needed > Number(glibc.split(".")[1])) fail(`${what} needs glibc 2.${needed}`);
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

/** A Python that has Zig, in a virtual environment of the checkout; `fetching` is called before it is fetched. */
export async function findZig(fetching: () => void): Promise<string> {
  const home = join(packageRoot, "build/zig");
  const python = join(home, "bin/python3");
  const ready = await execute(python, ["-m", "ziglang", "version"]).catch(() => null);
  if (ready?.stdout.trim() === zigVersion) return python;
  fetching();
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
export async function licences(): Promise<string> {
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

/** Ends with an error of what makes products for other machines. */
export function fail(message: string): never {
  throw new GsicError({
    category: "environment",
    code: "prebuilt-failed",
    message,
    hint: "node compiler/setup.mjs installs what compiling and linking need",
  });
}
