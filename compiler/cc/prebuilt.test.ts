import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { glibcProblem, listName, type PrebuiltList, productIn, readList } from "./prebuilt.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-prebuilt-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const list: PrebuiltList = {
  glibc: "2.28",
  madeBy: "a test",
  products: { tool: { file: "tool-0123", sources: "abc" }, addon: { file: "addon-4567", sources: "def" } },
};

test("a product is used if it was made from these sources, is there, and runs with this glibc", () => {
  writeFileSync(join(folder, "tool-0123"), "");
  const tool = join(folder, "tool-0123");
  expect(productIn(folder, list, "tool", "abc", "2.28")).toBe(tool);
  expect(productIn(folder, list, "tool", "abc", "2.36")).toBe(tool);
  expect(productIn(folder, list, "tool", "abd", "2.36"), "changed sources").toBeNull();
  expect(productIn(folder, list, "tool", "abc", "2.27"), "an older glibc").toBeNull();
  expect(productIn(folder, list, "tool", "abc", null), "another C library").toBeNull();
  expect(productIn(folder, list, "addon", "def", "2.36"), "no file").toBeNull();
  expect(productIn(folder, list, "library", "abc", "2.36"), "not in the list").toBeNull();
});

test("why products do not run is said with both versions, which are compared as numbers", () => {
  expect(glibcProblem(list, "2.28")).toBeNull();
  expect(glibcProblem(list, "2.100")).toBeNull();
  expect(glibcProblem(list, "3.1")).toBeNull();
  expect(glibcProblem(list, "2.5")).toBe("what comes compiled needs glibc 2.28, and this system has 2.5");
  expect(glibcProblem(list, null)).toContain("another C library");
});

test("a folder has a list or none", () => {
  const other = join(folder, "other");
  mkdirSync(other);
  expect(readList(other)).toBeNull();
  writeFileSync(join(other, listName), JSON.stringify(list));
  expect(readList(other)).toEqual(list);
});
