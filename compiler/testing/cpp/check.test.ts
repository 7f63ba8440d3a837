import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { packageRoot } from "../../support/paths.js";
import { temporaryFolder } from "../files.js";
import { formatViolations } from "./format.js";
import { lengthViolations, maxFileLines, maxFunctionLines } from "./lengths.js";
import { cppFiles, type Violation } from "./sources.js";
import { warningViolations } from "./warnings.js";

let folder: ReturnType<typeof temporaryFolder>;

/** A repository with one header and one source that break no rule. */
beforeEach(() => {
  folder = temporaryFolder();
  execFileSync("git", ["init", "-q"], { cwd: folder.path });
  cpSync(join(packageRoot, ".clang-format"), join(folder.path, ".clang-format"));
  plant("runtime/src/twice.h", "inline int twice(int a) { return 2 * a; }\n");
  plant("runtime/src/four.cpp", '#include "twice.h"\n\nint four() { return twice(2); }\n');
});

afterEach(() => folder.remove());

function plant(file: string, text: string): void {
  mkdirSync(dirname(join(folder.path, file)), { recursive: true });
  writeFileSync(join(folder.path, file), text);
}

/** What the check says of the planted repository, a line each. */
async function said(): Promise<string[]> {
  const files = await cppFiles(folder.path);
  const found: Violation[] = [
    ...(await formatViolations(folder.path, files)),
    ...(await lengthViolations(folder.path, files)),
    ...(await warningViolations(folder.path, files)),
  ];
  return found.map(({ file, line, what }) => `${file}:${line}: ${what}`);
}

const statements = (count: number) => "  a += 1;\n".repeat(count);
const longFunction = (lines: number) => `int long_one(int a) {\n${statements(lines - 3)}  return a;\n}\n`;

test("a repository without violations passes", async () => {
  expect(await cppFiles(folder.path)).toEqual(["runtime/src/four.cpp", "runtime/src/twice.h"]);
  expect(await said()).toEqual([]);
});

test("a file that is not formatted is refused, and fixed on demand", async () => {
  plant("runtime/src/four.cpp", '#include "twice.h"\n\nint four()\n{ return twice( 2 ); }\n');
  expect(await said()).toEqual(["runtime/src/four.cpp:3: is not formatted as .clang-format says"]);
  expect(await formatViolations(folder.path, ["runtime/src/four.cpp"], true)).toEqual([]);
  expect(readFileSync(join(folder.path, "runtime/src/four.cpp"), "utf8")).toBe(
    '#include "twice.h"\n\nint four() { return twice(2); }\n',
  );
});

test("a file of too many lines is refused; one of as many as are allowed is not", async () => {
  const filled = (lines: number) => `${"// One line.\n".repeat(lines - 1)}\n// The last.\n`;
  plant("examples/many.h", filled(maxFileLines));
  expect(await said()).toEqual([]);
  plant("examples/many.h", filled(maxFileLines + 1));
  expect(await said()).toEqual(["examples/many.h:1: the file has 301 lines; 300 are allowed"]);
});

test("a function of too many lines is refused, in a class and a namespace too", async () => {
  plant("compiler/testing/one.cpp", longFunction(maxFunctionLines));
  expect(await said()).toEqual([]);
  plant("compiler/testing/one.cpp", longFunction(maxFunctionLines + 1));
  expect(await said()).toEqual(["compiler/testing/one.cpp:1: long_one has 61 lines; 60 are allowed"]);
  plant("compiler/testing/one.cpp", "");
  const method = longFunction(maxFunctionLines + 1).replaceAll(/^(?=.)/gm, "  ");
  plant(
    "templates/include/gsic/one.h",
    `namespace gsic {\nstruct One {\n${method}};\n}  // namespace gsic\n`,
  );
  expect(await said()).toEqual(["templates/include/gsic/one.h:3: long_one has 61 lines; 60 are allowed"]);
});

test.each([
  ["a conversion that may change a value", "int narrow(long a) { return a; }\n", "-Werror=conversion"],
  [
    "a name that hides another",
    "int hides(int a) {\n  {\n    int a = 2;\n    (void)a;\n  }\n  return a;\n}\n",
    "-Werror=shadow",
  ],
  ["an unused parameter", "int unused(int a) { return 1; }\n", "-Werror=unused-parameter"],
])("a warning of the compiler is refused: %s", async (_, source, name) => {
  plant("runtime/src/warned.cpp", source);
  const found = await said();
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(/^runtime\/src\/warned\.cpp:\d+: /);
  expect(found[0]).toContain(name);
});

test("a header is looked at again when it changes, and its warning comes once", async () => {
  plant("runtime/src/eight.cpp", '#include "twice.h"\n\nint eight() { return twice(4); }\n');
  expect(await said()).toEqual([]);
  plant("runtime/src/twice.h", "inline int twice(long a) { return 2 * a; }\n");
  const found = await said();
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(/^runtime\/src\/twice\.h:1: .*-Werror=conversion/);
});

test("what git ignores is left alone", async () => {
  plant(".gitignore", "cache/\n");
  plant("examples/smollm2/cache/venv/include/other.h", "int  main( );\n");
  plant("examples/smollm2/removed.h", "int three();\n");
  execFileSync("git", ["add", "."], { cwd: folder.path });
  rmSync(join(folder.path, "examples/smollm2/removed.h"));
  expect(await said()).toEqual([]);
});

test("emitted kernels that tests compare with are left alone", async () => {
  plant("compiler/emit/golden/kernel.cpp", "int  main( );\n");
  expect(await said()).toEqual([]);
});

test("npm run check asks for it", () => {
  const { scripts } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8"));
  expect(scripts.check).toContain("node dist/compiler/testing/cpp/check.js");
});
