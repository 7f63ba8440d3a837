/** The map of compiler/README.md is the one that biome.json enforces, and shows every room. */

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "./support/paths.js";

const text = readFileSync(join(packageRoot, "compiler/README.md"), "utf8");
const folder = join(packageRoot, "compiler");
const rooms = readdirSync(folder).filter((name) => statSync(join(folder, name)).isDirectory());

/** What biome.json says of restricted imports. */
interface Override {
  readonly includes: readonly string[];
  readonly linter: {
    readonly rules: {
      readonly style?: {
        readonly noRestrictedImports?: {
          readonly options: { readonly patterns: readonly { readonly group: readonly string[] }[] };
        };
      };
    };
  };
}

const { overrides } = JSON.parse(readFileSync(join(packageRoot, "biome.json"), "utf8")) as {
  overrides: readonly Override[];
};

/** The rows of biome.json: the rooms of each, and what they may not import. */
const enforced = overrides.flatMap(({ includes, linter }) => {
  const rule = linter.rules.style?.noRestrictedImports;
  if (rule === undefined) return [];
  const named = includes.flatMap((glob) => /^compiler\/([\w-]+)\/\*\*/.exec(glob)?.[1] ?? []);
  const refused = rule.options.patterns[0]!.group.flatMap(
    (glob) => /^\*\*\/([\w-]+)\/\*\*$/.exec(glob)?.[1] ?? [],
  );
  return [{ rooms: named.sort(), refused: refused.sort() }];
});

/** The rows of the page. */
const rows = [...text.matchAll(/^\| \d+ \| (.*) \|$/gm)].map(([, cell]) =>
  [...cell!.matchAll(/`([\w-]+)`/g)].map(([, room]) => room!).sort(),
);

test("the rows of the page are those that the check enforces", () => {
  expect(rows).toEqual(enforced.map(({ rooms }) => rooms));
});

test("every room has a row, and a line that says what it holds", () => {
  expect([...rows.flat(), "testing"].sort()).toEqual([...rooms].sort());
  const described = [...text.matchAll(/^\| (\[?`[a-z].*?) \| /gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([\w-]+)`/g)].map(([, room]) => room!),
  );
  for (const room of rooms) expect(described).toContain(room);
});

test("a room may import none of its own row, nor of those below", () => {
  for (const [row, { refused }] of enforced.entries())
    expect(refused).toEqual([...rows.slice(row).flat(), "testing"].sort());
});

test("every file and folder that the page names is there", () => {
  const roots = ["compiler", ".", "runtime", "compiler/report-html", "compiler/report-html/page"];
  const headers = ["templates/include/gsic", "templates/include/gsic/dialect", "compiler/graph-text"];
  const names = [...text.matchAll(/`([\w./-]+(?:\/|\.(?:ts|mjs|py|h|cpp|hbs|css)))`/g)].map(
    ([, name]) => name!,
  );
  // Of a build; and `devices.ts`, which several rooms have.
  const ofBuilds = /^(\d\d-.*|kernels\/|devices\.ts)$/;
  const wrong = names.filter(
    (name) =>
      !ofBuilds.test(name) &&
      ![...roots, ...headers].some((root) => existsSync(join(packageRoot, root, name))),
  );
  expect([...new Set(wrong)]).toEqual([]);
});
