import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { execute } from "../support/process.js";
import { temporaryFolder } from "../testing/fixtures.js";
import { findCompiler } from "./compilers.js";
import { compileObjects, objectsOf, plainSource } from "./objects.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Sources in a folder of their own, and how they are compiled. */
async function project(files: Readonly<Record<string, string>>, together = 1) {
  const folder = await temporaryFolder();
  vi.stubEnv("GSIC_CACHE", join(folder, "cache"));
  await mkdir(join(folder, "shared"));
  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  for (const [name, text] of Object.entries(files)) await write(name, text);
  const how = { compiler: await findCompiler(), flags: ["-O1"], include: [join(folder, "shared")], together };
  const sources = (names: readonly string[]) =>
    Promise.all(names.map((name) => plainSource(join(folder, name))));
  return { write, how, sources };
}

test("an object's name depends on its source and on the headers that it includes, near ones first", async () => {
  const { write, how, sources } = await project({
    "a.cpp": '#include "near.h"\n',
    "b.cpp": '#include "far.h"\n',
    "near.h": '#include "far.h"\n',
    "shared/near.h": "int shadowed;\n",
    "shared/far.h": "int far;\n",
  });
  const names = async () => objectsOf(await sources(["a.cpp", "b.cpp"]), how);
  const [a, b] = await names();
  expect(a).not.toBe(b);
  await write("shared/near.h", "int other;\n");
  expect(await names()).toEqual([a, b]);
  await write("near.h", '#include "far.h"\nint near;\n');
  const [changed, same] = await names();
  expect(changed).not.toBe(a);
  expect(same).toBe(b);
  await write("shared/far.h", "int farther;\n");
  const after = await names();
  expect(after[0]).not.toBe(changed);
  expect(after[1]).not.toBe(b);
});

test("neighbours are compiled as one text, but not where a source says how headers are optimised", async () => {
  const text = (name: string) =>
    `#ifdef SEEN\nint ${name}_behind;\n#else\n#define SEEN\nint ${name}_first;\n#endif\n`;
  const { how, sources } = await project(
    {
      "a.cpp": text("a"),
      "b.cpp": text("b"),
      "c.cpp": `#pragma GCC optimize("O3")\n${text("c")}`,
      "d.cpp": text("d"),
    },
    2,
  );
  const counts: number[] = [];
  const all = await sources(["a.cpp", "b.cpp", "c.cpp", "d.cpp"]);
  const objects = await compileObjects(all, how, (done, total) => counts.push(done / total));
  const symbols = [["a_first", "b_behind"], ["c_first"], ["d_first"]];
  expect(objects).toHaveLength(symbols.length);
  for (const [index, names] of symbols.entries())
    for (const name of names) expect(readFileSync(objects[index]!, "latin1")).toContain(name);
  expect(counts[0]).toBe(0);
  expect(counts.at(-1)).toBe(1);
  expect(await compileObjects(all, how, () => expect.unreachable())).toEqual(objects);
});

test("sources that do not go together are compiled one by one; one that is wrong is named", async () => {
  const { how, sources } = await project(
    {
      "a.cpp": "namespace { int same; }\nint *a = &same;\n",
      "b.cpp": "namespace { int same; }\nint *b = &same;\n",
    },
    8,
  );
  const [object, ...others] = await compileObjects(await sources(["a.cpp", "b.cpp"]), how);
  expect(others).toEqual([]);
  const { stdout } = await execute("nm", ["-g", object!]);
  expect(stdout).toMatch(/ a\n.* b\n/s);
  const wrong = await project({ "a.cpp": "int a;\n", "b.cpp": "int b\n" }, 8);
  const where = expect.stringMatching(/b\.cpp$/);
  await expect(compileObjects(await wrong.sources(["a.cpp", "b.cpp"]), wrong.how)).rejects.toMatchObject({
    where,
  });
});
