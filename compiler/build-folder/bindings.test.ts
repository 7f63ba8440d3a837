import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { packageRoot } from "../support/paths.js";
import { bindingsText } from "./bindings.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-bindings-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const plain = bindingsText({
  name: "tiny-gpt2",
  vocabulary: 50257,
  context: 256,
  modes: ["bounded", "exact"],
});

test("bindings are typed for one model", () => {
  expect(plain).toContain('export const name = "tiny-gpt2";');
  expect(plain).toContain("export const vocabulary = 50_257;");
  expect(plain).toContain("export const context = 256;");
  expect(plain).toContain('export const modes = ["bounded", "exact"] as const;');
  expect(plain).toContain('new URL("./tiny-gpt2.gsi", import.meta.url)');
});

/** Messages of the TypeScript compiler, as strict as this project, about files that stand beside the bindings. */
async function typeErrors(files: Readonly<Record<string, string>>): Promise<string> {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const paths = { "gsic/load": [join(packageRoot, "compiler/load.ts")] };
  const typeRoots = [join(packageRoot, "node_modules/@types")];
  const compilerOptions = { noEmit: true, paths, typeRoots, rootDir: "/" };
  const config = {
    extends: join(packageRoot, "tsconfig.json"),
    compilerOptions,
    include: [],
    files: Object.keys(files),
  };
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const compiler = join(packageRoot, "node_modules/typescript/bin/tsc");
  return promisify(execFile)(process.execPath, [compiler, "-p", folder]).then(
    () => "",
    (error: { stdout: string }) => error.stdout,
  );
}

test("they compile strictly, whatever the name, and know the modes", async () => {
  const names = [
    "plain",
    'quo"te',
    "line\nbreak",
    "*/ /*",
    `$\{1}\``,
    "\u2028",
    "100%#?",
    "../up",
    "\\u{41}",
    "{{x}}",
  ];
  const files = Object.fromEntries(
    names.map((name, i) => [
      `bindings-${i}.ts`,
      bindingsText({ name, vocabulary: 1, context: 1, modes: ["exact"] }),
    ]),
  );
  const use = `import { context, load, type Mode, modes } from "./index.js";
const first: "bounded" = modes[0];
const all: Mode[] = ["exact", first];
const size: 256 = context;
using model = await load({ threads: 1 });
for await (const { id, text } of model.generate("x", { mode: all[0], tokens: size })) {
  const one: [number, string] = [id, text];
  void one;
}
`;
  expect(await typeErrors({ ...files, "index.ts": plain, "use.ts": use })).toBe("");
  const wrong = 'import { load } from "./index.js";\n(await load()).session({ mode: "lossless" });\n';
  expect(await typeErrors({ "index.ts": plain, "wrong.ts": wrong })).toContain(
    `wrong.ts(2,26): error TS2322: Type '"lossless"' is not assignable`,
  );
});

test("the name of the bundle survives the way through a URL", () => {
  for (const name of ["a b", "100%", "a#b?c", "ü", "a/b"]) {
    const text = bindingsText({ name, vocabulary: 1, context: 1, modes: ["exact"] });
    const literal = /new URL\(("[^"]*")/.exec(text)![1]!;
    const url = new URL(JSON.parse(literal) as string, "file:///build/index.ts");
    expect(decodeURIComponent(url.pathname)).toBe(`/build/${name}.gsi`);
    expect(url.hash + url.search).toBe("");
  }
});
