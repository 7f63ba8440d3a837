import { existsSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { build } from "./build.js";
import { silent } from "./support/progress.js";
import { fixturesFolder, temporaryFolder } from "./testing/fixtures.js";

/** A folder with a copy of a fixture and a model.toml of that name. */
async function modelFolder(name: string): Promise<string> {
  const folder = await temporaryFolder();
  await cp(join(fixturesFolder, "gpt2-f32"), join(folder, "model"), { recursive: true });
  await writeFile(join(folder, "model.toml"), `[model]\nname = "${name}"\nsource = "model"\n`);
  return folder;
}

test("weights that are not finite are refused before anything is built, by name", async () => {
  const folder = await modelFolder("nan");
  const file = join(folder, "model/model.safetensors");
  const bytes = await readFile(file);
  bytes.writeFloatLE(Number.NaN, bytes.length - 4);
  await writeFile(file, bytes);
  const out = join(folder, "out");
  const built = build({ input: join(folder, "model.toml"), out, progress: silent });
  await expect(built).rejects.toMatchObject({ category: "data", code: "weights-not-finite" });
  expect(existsSync(out)).toBe(false);
});

test("a model cannot bear the name of a file that every build has", async () => {
  for (const name of ["graph.ts", "kernels", "report.json"]) {
    const folder = await modelFolder(name);
    const built = build({ input: join(folder, "model.toml"), out: join(folder, "out"), progress: silent });
    await expect(built).rejects.toMatchObject({ category: "usage", code: "config-value" });
  }
});
