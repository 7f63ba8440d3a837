import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Exports } from "./exports.js";

function planted(files: Readonly<Record<string, string>>): Exports {
  const root = mkdtempSync(join(tmpdir(), "gsic-exports-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return new Exports(root);
}

test("an export without a doc comment is named with its place; tests and what others export are left out", () => {
  const exports = planted({
    "compiler/a.ts":
      "/** One. */\nexport const one = 1;\n\nexport function two() {}\n\nfunction three() {}\nthree();\n",
    "compiler/b.ts": 'export { one } from "./a.js";\nexport type Four = 4;\n',
    "compiler/b.test.ts": "export const five = 5;\n",
  });
  expect(exports.undocumented()).toEqual(["compiler/a.ts:4: two", "compiler/b.ts:2: Four"]);
});

test("an export that no other file imports is named with its place", () => {
  const names = ["One", "Two", "Three", "Four", "Five", "Six", "Eight"];
  const text = names.map((name) => `export type ${name} = ${name.length};\n`).join("");
  const exports = planted({
    "compiler/a.ts": text,
    "compiler/whole.ts": text,
    "compiler/load.ts": 'export { type One } from "./a.js";\nexport type Seven = 7;\n',
    "compiler/cli/b.test.ts": 'import { One, type Two as Other } from "../a.js";\nOne satisfies Other;\n',
    "examples/c.ts":
      'import type {\n  Three,\n} from "../compiler/a.js";\nconst { Four: a } = await import("../compiler/a.js");\n(await import("../compiler/a.js")).Eight;\n',
    "compiler/report-html/page/d.js": '/** @type {import("../../a.js").Five} */\n',
    "compiler/e.ts": 'import * as whole from "./whole.js";\nconst Six = whole.One;\n',
  });
  expect(exports.unused()).toEqual(["compiler/a.ts:6: Six"]);
});
