import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { undocumented } from "./documented.js";

test("an export without a doc comment is named with its place; tests and what others export are left out", () => {
  const root = mkdtempSync(join(tmpdir(), "gsic-documented-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, "compiler"));
  writeFileSync(
    join(root, "compiler/a.ts"),
    "/** One. */\nexport const one = 1;\n\nexport function two() {}\n\nfunction three() {}\nthree();\n",
  );
  writeFileSync(join(root, "compiler/b.ts"), 'export { one } from "./a.js";\nexport type Four = 4;\n');
  writeFileSync(join(root, "compiler/b.test.ts"), "export const five = 5;\n");
  expect(undocumented(root)).toEqual(["compiler/a.ts:4: two", "compiler/b.ts:2: Four"]);
});
