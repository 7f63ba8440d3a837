import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildRuntime, isPrebuilt, type RuntimeProduct } from "../../cc/index.js";
import { platform, prebuiltFolder, readList } from "../../cc/prebuilt.js";
import { compileRuntime } from "../../cc/runtime.js";
import { buildTiny, type TinyBuild } from "../tiny.js";
import { glibcNeeded } from "./needs.js";

const products: readonly RuntimeProduct[] = ["library", "executable", "tool", "addon", "mock-driver"];
const folder = mkdtempSync(join(tmpdir(), "gsic-prebuilt-"));
let tiny: TinyBuild | undefined;

/** Whether what is in runtime/prebuilt was made from these sources; `npm run prebuilt` makes it so. */
const isCurrent = (await Promise.all(products.map(isPrebuilt))).every(Boolean);

beforeAll(async () => {
  if (isCurrent) tiny = await buildTiny();
});

afterAll(() => {
  tiny?.remove();
  rmSync(folder, { recursive: true, force: true });
});

test.skipIf(!isCurrent)("what comes compiled needs no newer glibc than its list says", async () => {
  const least = Number(readList(join(prebuiltFolder, platform))!.glibc.split(".")[1]);
  for (const product of products) {
    const needed = await glibcNeeded(await buildRuntime(product));
    expect(needed, product).toBeGreaterThan(0);
    expect(needed, product).toBeLessThanOrEqual(least);
  }
});

test.skipIf(!isCurrent)("what comes compiled computes the bits of what is compiled here", async () => {
  const ids = join(folder, "ids");
  writeFileSync(ids, Buffer.from(new Int32Array([46, 32, 31, 25, 50, 60, 70, 80, 90, 100]).buffer));
  const results = [];
  for (const [name, product] of [
    ["prebuilt", buildRuntime],
    ["compiled", compileRuntime],
  ] as const) {
    const work = join(folder, name);
    mkdirSync(work);
    const logits = join(work, "logits.safetensors");
    execFileSync(await product("tool"), ["logits", tiny!.bundle, "--ids-file", ids, "--out", logits], {
      stdio: "pipe",
    });
    // A program reads the bundle that lies beside it and has its name.
    const program = join(work, "tiny-gpt2");
    copyFileSync(await product("executable"), program);
    copyFileSync(tiny!.bundle, `${program}.gsi`);
    const text = execFileSync(program, ["Once upon a time", "--tokens", "60"], { encoding: "utf8" });
    results.push({ logits: readFileSync(logits).toString("base64"), text });
  }
  expect(results[0]!.text.length).toBeGreaterThan(60);
  expect(results[0]).toEqual(results[1]);
});
