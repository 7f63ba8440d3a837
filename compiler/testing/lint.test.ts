import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { packageRoot } from "../support/paths.js";
import { start } from "./cli.js";

const lines = (count: number) => "  void 0;\n".repeat(count);

/** What the linter refuses, each with files that break one rule; compiler/testing/cpp has the rules of C++. */
const planted: readonly (readonly [rule: string, files: Readonly<Record<string, string>>])[] = [
  [
    "lint/style/noRestrictedImports",
    {
      "compiler/ir/upwards.ts": 'import { low } from "../emit/low.js";\n\nexport const up = low;\n',
      "compiler/emit/low.ts": "export const low = 1;\n",
    },
  ],
  [
    "lint/suspicious/noImportCycles",
    {
      "compiler/ir/one.ts": 'import type { Two } from "./two.js";\n\nexport type One = Two;\n',
      "compiler/ir/two.ts": 'import type { One } from "./one.js";\n\nexport type Two = One | null;\n',
    },
  ],
  ["lint/style/noExcessiveLinesPerFile", { "compiler/ir/long.ts": "void 0;\n".repeat(301) }],
  [
    "lint/complexity/noExcessiveLinesPerFunction",
    { "compiler/ir/function.ts": `export function long() {\n${lines(61)}}\n` },
  ],
  ["lint/suspicious/noExplicitAny", { "compiler/ir/any.ts": "export const any = 1 as any;\n" }],
  ["format", { "compiler/ir/format.ts": "export const  two = 2\n" }],
];

/** Runs the linter, with this repository's rules, over some files in a folder of their own; returns what it printed. */
async function lint(files: Readonly<Record<string, string>>): Promise<{ code: unknown; printed: string }> {
  const root = mkdtempSync(join(tmpdir(), "gsic-lint-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const file of ["biome.json", ".gitignore"]) copyFileSync(join(packageRoot, file), join(root, file));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  const biome = join(packageRoot, "node_modules/.bin/biome");
  const { code, stdout, stderr } = await start(biome, ["check", "--error-on-warnings", "compiler"], {
    cwd: root,
  }).outcome;
  return { code, printed: `${stdout}${stderr}` };
}

for (const [rule, files] of planted) {
  test(`${rule} is refused`, async () => {
    const { code, printed } = await lint(files);
    expect(code, printed).not.toBe(0);
    expect(printed).toContain(rule);
  });
}

test("what breaks no rule passes", async () => {
  const { code, printed } = await lint({ "compiler/ir/good.ts": "/** Two. */\nexport const two = 2;\n" });
  expect(code, printed).toBe(0);
});
