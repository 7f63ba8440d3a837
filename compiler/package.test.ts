import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "./support/paths.js";

const json = (file: string) => JSON.parse(readFileSync(join(packageRoot, file), "utf8"));

/** The files that `npm pack` takes, without running its scripts: paths from package.json. */
function packed(): Set<string> {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const output = execFileSync("npm", args, {
    cwd: packageRoot,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [{ files }] = JSON.parse(output) as [{ files: { path: string }[] }];
  return new Set(files.map(({ path }) => path));
}

const files = packed();

test("the package holds no tests, no fixtures and nothing that only tests use", () => {
  const ofTests = /\.test\.|_test_main|(^|\/)(testing|tests|fixtures|golden)\/|-testing\.|(^|\/)examples\//;
  expect([...files].filter((path) => ofTests.test(path))).toEqual([]);
  expect(files.size).toBeGreaterThan(500);
});

test("every module that the package's entries import is in it", () => {
  const { bin, exports } = json("package.json") as {
    bin: Record<string, string>;
    exports: Record<string, { default: string; types: string }>;
  };
  const entries = [...Object.values(bin), ...Object.values(exports).flatMap((one) => Object.values(one))];
  const met = new Set(entries.map((path) => normalize(path)));
  for (const path of met) {
    expect(files.has(path), `${path} is in the package (npm run build makes it)`).toBe(true);
    const text = readFileSync(join(packageRoot, path), "utf8");
    for (const [, name] of text.matchAll(/(?:from |import\(|^import )"(\.[^"]+)"/gm)) {
      const imported = normalize(join(dirname(path), name!));
      met.add(path.endsWith(".d.ts") ? imported.replace(/\.js$/, ".d.ts") : imported);
    }
  }
  expect(met.size).toBeGreaterThan(100);
});

test("what builds read is in the package: recipes, sources and headers, templates, targets, the report's page", () => {
  const { outputs } = json("runtime/build.json") as { outputs: Record<string, { sources: string[] }> };
  const folders = Object.values(outputs).flatMap(({ sources }) => sources.map((pattern) => dirname(pattern)));
  const below = [...new Set(folders), "runtime/include", "templates", "targets"].flatMap((folder) =>
    readdirSync(join(packageRoot, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(cpp|h|map|hbs|toml)$/.test(name) && !name.endsWith("_test_main.cpp"))
      .map((name) => join(folder, name)),
  );
  const page = ["page.css", "page.hbs", "main.js"].map((name) => `compiler/report-html/page/${name}`);
  const wanted = [...below, ...page, "runtime/build.json", "package.json", "README.md", "LICENSE"];
  expect(wanted.filter((path) => !files.has(path))).toEqual([]);
});

test("the package holds what comes compiled, where npm run prebuilt has made it", ({ skip }) => {
  const list = "runtime/prebuilt/linux-x64/prebuilt.json";
  if (!existsSync(join(packageRoot, list))) skip("npm run prebuilt has not been run; npm pack runs it");
  const { products } = json(list) as { products: Record<string, { file: string }> };
  expect(Object.keys(products).sort()).toEqual(["addon", "executable", "library", "mock-driver", "tool"]);
  const wanted = [list, "runtime/prebuilt/linux-x64/LICENSES.txt"];
  wanted.push(...Object.values(products).map(({ file }) => join(dirname(list), file)));
  expect(wanted.filter((path) => !files.has(path))).toEqual([]);
});
