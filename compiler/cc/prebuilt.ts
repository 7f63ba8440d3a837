import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runtimeFolder } from "../support/paths.js";

/** A native program or library of the runtime, as runtime/build.json lists it. */
export type RuntimeProduct = "library" | "executable" | "tool" | "addon" | "mock-driver";

/** The list of what came compiled for a platform: runtime/prebuilt/PLATFORM/prebuilt.json (testing/prebuilt). */
export interface PrebuiltList {
  /** The least glibc that the products run with, as `2.28`. */
  readonly glibc: string;
  /** What compiled and linked them, for people. */
  readonly madeBy: string;
  readonly products: Readonly<Partial<Record<RuntimeProduct, PrebuiltProduct>>>;
  /** Kernels for all shapes, by target. */
  readonly kernels?: Readonly<Record<string, PrebuiltProduct>>;
}

/** A product that came compiled. */
export interface PrebuiltProduct {
  /** Its name beside the list, with a hash of its contents, so that caches can tell it from others. */
  readonly file: string;
  /** Hash of what it was made from, as `sourcesHash` gives it. */
  readonly sources: string;
}

/** The folder of all platforms' products; git ignores it, and the npm package holds it. */
export const prebuiltFolder = join(runtimeFolder, "prebuilt");

/** This machine's, as folders of products are called. */
export const platform = `${process.platform}-${process.arch}`;

/** Where this machine's lie: GSIC_PREBUILT may name another folder of platforms, as tests do. */
function platformFolder(): string {
  return join(process.env.GSIC_PREBUILT || prebuiltFolder, platform);
}

/** The name of the list in a platform's folder. */
export const listName = "prebuilt.json";

/**
 * The path of a product that came compiled from the sources with this hash, and runs here; null where there is none. In a
 * checkout whose sources have changed since, there is none.
 */
export async function prebuiltProduct(product: RuntimeProduct, sources: string): Promise<string | null> {
  const list = prebuiltList();
  return list === null ? null : productIn(platformFolder(), list, product, sources, glibcVersion());
}

/** The path of the kernels for all shapes of a target that came compiled from the sources with this hash; null if none did. */
export async function prebuiltKernels(target: string, sources: string): Promise<string | null> {
  const list = prebuiltList();
  const entry = list?.kernels?.[target];
  return list === null ? null : fileIn(platformFolder(), list, entry, sources, glibcVersion());
}

/** The path of a product of a list, made from the sources with this hash, that runs with a glibc; null if there is none. */
export function productIn(
  folder: string,
  list: PrebuiltList,
  product: RuntimeProduct,
  sources: string,
  glibc: string | null,
): string | null {
  return fileIn(folder, list, list.products[product], sources, glibc);
}

function fileIn(
  folder: string,
  list: PrebuiltList,
  entry: PrebuiltProduct | undefined,
  sources: string,
  glibc: string | null,
): string | null {
  if (entry === undefined || entry.sources !== sources || glibcProblem(list, glibc) !== null) return null;
  const file = join(folder, entry.file);
  return existsSync(file) ? file : null;
}

/** Why nothing that came compiled runs on this machine; null where something does, or nothing came. */
export function unusablePrebuilt(): string | null {
  const list = prebuiltList();
  if (list !== null) return glibcProblem(list, glibcVersion());
  if (isOff()) return null;
  const others = existsSync(prebuiltFolder)
    ? readdirSync(prebuiltFolder).filter((name) => name !== platform)
    : [];
  return others.length === 0 ? null : `what comes compiled is for ${others.join(", ")}; this is ${platform}`;
}

/** Why products of a list do not run with a glibc; null if they do. `glibc` is null on systems with another C library. */
export function glibcProblem(list: PrebuiltList, glibc: string | null): string | null {
  if (glibc === null)
    return `what comes compiled needs glibc ${list.glibc}, and this system has another C library`;
  const [major = 0, minor = 0] = glibc.split(".").map(Number);
  const [leastMajor = 0, leastMinor = 0] = list.glibc.split(".").map(Number);
  const isOlder = major < leastMajor || (major === leastMajor && minor < leastMinor);
  return isOlder ? `what comes compiled needs glibc ${list.glibc}, and this system has ${glibc}` : null;
}

let known: { readonly list: PrebuiltList | null } | undefined;

/** Whether the products that came compiled are left alone: GSIC_PREBUILT is `off`. */
function isOff(): boolean {
  return process.env.GSIC_PREBUILT === "off";
}

/** What came compiled for this platform; null if nothing did, or it is to be left alone. */
function prebuiltList(): PrebuiltList | null {
  if (isOff()) return null;
  known ??= { list: readList(platformFolder()) };
  return known.list;
}

/** The list in a platform's folder; null if there is none. */
export function readList(folder: string): PrebuiltList | null {
  const file = join(folder, listName);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as PrebuiltList) : null;
}

let glibc: { readonly version: string | null } | undefined;

/** The glibc of this process; null where Node runs with another C library. Asked once: the report takes 20 ms. */
function glibcVersion(): string | null {
  if (glibc === undefined) {
    const report = process.report.getReport() as {
      readonly header?: { readonly glibcVersionRuntime?: string };
    };
    glibc = { version: report.header?.glibcVersionRuntime ?? null };
  }
  return glibc.version;
}
