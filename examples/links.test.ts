/** The links of every page of the repository lead somewhere: to a file or a folder, and to a heading where they name one. */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../compiler/support/paths.js";

/** Every page that git keeps, or would keep. */
const pages = execFileSync("git", ["ls-files", "-z", "-co", "--exclude-standard", "*.md"], {
  cwd: packageRoot,
  encoding: "utf8",
})
  .split("\0")
  .filter((page) => page !== "" && existsSync(join(packageRoot, page)));

/** The text of a page outside of its fenced blocks. */
function prose(file: string): string {
  return readFileSync(file, "utf8").replaceAll(/^ *```[\s\S]*?^ *```$/gm, "");
}

/** What GitHub calls the headings of a page in links. */
function anchors(file: string): string[] {
  return [...prose(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** What is wrong with a link of a page; null: nothing. */
function problemOf(page: string, link: string): string | null {
  if (/^(https?|mailto):/.test(link)) return null;
  const [path, anchor] = link.split("#");
  const target = path === "" ? page : resolve(dirname(page), path!);
  if (!existsSync(target)) return `${link} is not there`;
  if (relative(packageRoot, target).startsWith("..")) return `${link} is outside of the repository`;
  if (anchor === undefined) return null;
  if (statSync(target).isDirectory()) return `${link} names a heading of a folder`;
  return anchors(target).includes(anchor) ? null : `${link} has no such heading`;
}

/** What is wrong with all links of a page. */
function problems(page: string): string[] {
  const links = [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
  return links.flatMap((link) => problemOf(page, link) ?? []);
}

describe("every link leads somewhere", () => {
  test.each(pages)("%s", (page) => expect(problems(join(packageRoot, page))).toEqual([]));

  test("and one that leads nowhere is found", () => {
    const page = join(packageRoot, "README.md");
    expect(problemOf(page, "examples/README.md")).toBeNull();
    expect(problemOf(page, "#results")).toBeNull();
    expect(problemOf(page, "examples/none.md")).toContain("is not there");
    expect(problemOf(page, "examples/README.md#none")).toContain("no such heading");
  });
});

test("every example is in the index", () => {
  const folder = join(packageRoot, "examples");
  const index = prose(join(folder, "README.md"));
  const examples = readdirSync(folder).filter((name) => existsSync(join(folder, name, "README.md")));
  for (const example of examples) expect(index).toContain(`(${example}/README.md)`);
});

test("a newcomer reaches every page from the first one", () => {
  const reached = new Set<string>();
  const visit = (page: string) => {
    if (reached.has(page)) return;
    reached.add(page);
    for (const [, link] of prose(page).matchAll(/\]\(([^)#\s]+\.md)/g))
      if (!/^https?:/.test(link!)) visit(resolve(dirname(page), link!));
  };
  visit(join(packageRoot, "README.md"));
  expect([...reached].map((page) => relative(packageRoot, page)).sort()).toEqual([...pages].sort());
});
