import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import type { CpuTarget } from "../config/target.js";
import { packageRoot } from "../support/paths.js";
import { silent } from "../support/progress.js";
import { testTargets } from "../testing/fixtures.js";
import { compileGeneric, genericHash } from "./generic.js";
import { buildRuntime } from "./index.js";
import {
  listName,
  type PrebuiltList,
  type PrebuiltProduct,
  platform,
  type RuntimeProduct,
} from "./prebuilt.js";
import { sourcesHash } from "./runtime.js";

const work = mkdtempSync(join(tmpdir(), "gsic-no-compiler-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
afterEach(() => {
  vi.unstubAllEnvs();
});

/** A folder as `npm run prebuilt` makes it: products, and kernels for the targets, compiled here. */
async function prebuilt(name: string, targets: readonly CpuTarget[]): Promise<string> {
  const folder = join(work, name, platform);
  mkdirSync(folder, { recursive: true });
  const put = (from: string, file: string, sources: string): PrebuiltProduct => {
    copyFileSync(from, join(folder, file));
    return { file, sources };
  };
  const products: Partial<Record<RuntimeProduct, PrebuiltProduct>> = {};
  for (const product of ["tool", "library", "executable"] as const)
    products[product] = put(await buildRuntime(product), product, await sourcesHash(product));
  const kernels: Record<string, PrebuiltProduct> = {};
  for (const target of targets)
    kernels[target.name] = put(await compileGeneric(target), `kernels-${target.name}`, await genericHash());
  const list: PrebuiltList = { glibc: "2.17", madeBy: "a test", products, kernels };
  writeFileSync(join(folder, listName), JSON.stringify(list));
  return join(work, name);
}

/** From here on gsic finds no compiler, and nothing in its cache, but what came compiled. */
function withoutCompiler(folder: string): void {
  vi.stubEnv("GSIC_PREBUILT", folder);
  vi.stubEnv("GSIC_CACHE", join(work, "empty"));
  vi.stubEnv("CXX", "/bin/false");
}

/** Builds tiny-gpt2, by a gsic that looks for compilers and what came compiled anew; what it warned of, and what the build computes. */
async function built(name: string, target: string) {
  vi.resetModules();
  const [{ build }, cc] = [await import("../build.js"), await import("./index.js")];
  const warnings: string[] = [];
  const input = join(work, "model.toml");
  const source = JSON.stringify(join(packageRoot, "examples/tiny-gpt2/model"));
  writeFileSync(input, `[model]\nname = "tiny"\nsource = ${source}\n`);
  const out = join(work, name);
  const progress = { ...silent, warn: (text: string) => warnings.push(text) };
  await build({ input, out, mode: "exact", targets: [target], progress });
  const text = execFileSync(join(out, "tiny"), ["Once upon a time", "--tokens", "60"], { encoding: "utf8" });
  const logits = join(work, `${name}.safetensors`);
  const ids = join(work, "ids");
  writeFileSync(ids, Int32Array.from([46, 32, 31, 25, 50, 60, 70, 80, 90, 100]));
  const args = ["logits", join(out, "tiny.gsi"), "--ids-file", ids, "--out", logits];
  execFileSync(await cc.buildRuntime("tool"), args, { stdio: "pipe" });
  return { warnings, results: { text, logits: readFileSync(logits).toString("base64") } };
}

test("without a compiler a build has kernels for all shapes, says so, and computes the same bits", async () => {
  const [target] = await testTargets();
  const own = await built("own", target!.name);
  expect(own.warnings.filter((text) => text.includes("compiler"))).toEqual([]);
  withoutCompiler(await prebuilt("with-kernels", [target!]));
  const generic = await built("generic", target!.name);
  expect(generic.warnings.join()).toContain("no C++ compiler is found");
  expect(generic.results.text.length).toBeGreaterThan(60);
  expect(generic.results).toEqual(own.results);
});

test("without a compiler and without kernels that came compiled, a build says what to install", async () => {
  withoutCompiler(await prebuilt("without-kernels", []));
  const missing = { code: "compiler-missing", category: "environment" };
  await expect(built("nothing", "cpu-portable")).rejects.toMatchObject(missing);
});
