import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { build } from "./build.js";
import { compileRuntime, runtimeObjects } from "./cc/runtime.js";
import { packageRoot } from "./support/paths.js";
import { terminalProgress } from "./support/progress.js";
import { coldCache } from "./testing/cold-cache.js";

const work = mkdtempSync(join(tmpdir(), "gsic-stages-"));
const log = join(work, "log");
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** A compiler that notes in the log when it begins and ends, among what the build says: their order is what happened. */
function loggingCompiler(): string {
  const file = join(work, "c++");
  const real = process.env.CXX || "g++";
  const lines = [
    "#!/bin/sh",
    `[ "$1" = --version ] && exec ${real} "$@"`,
    `echo "compiler begins" >> ${log}`,
    `${real} "$@"`,
    "code=$?",
    `echo "compiler ends" >> ${log}`,
    "exit $code",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** A cache without kernels and without library and executable; of their objects it has those that the library is made of. */
async function almostEmptyCache(): Promise<string> {
  const folder = await coldCache(join(work, "cache"));
  for (const product of ["library", "executable"] as const)
    rmSync(join(folder, "objects", basename(await compileRuntime(product))));
  for (const object of await runtimeObjects("library", () => {}))
    copyFileSync(object, join(folder, "objects", basename(object)));
  return folder;
}

interface Stage {
  readonly title: string;
  /** Compilers that ran in it. */
  compilers: number;
}

/** The stages of a log. Throws where a compiler runs between two stages, or goes on behind its own. */
function stagesOf(text: string): Stage[] {
  const stages: Stage[] = [];
  let open: Stage | null = null;
  let openTitle = "";
  let running = 0;
  for (const line of text.trimEnd().split("\n")) {
    if (line === "" || line === openTitle || line.startsWith("gsic:")) continue;
    if (line.startsWith("compiler")) {
      if (open === null) throw new Error(`a compiler ran in no stage: behind ${stages.at(-1)?.title}`);
      running += line === "compiler begins" ? 1 : -1;
      if (line === "compiler begins") open.compilers++;
    } else if (/^\d+\.\d s$/.test(line)) {
      if (running !== 0) throw new Error(`${open?.title} ended before its compilers`);
      open = null;
    } else if (!line.includes(" left")) {
      if (open !== null) throw new Error(`${line} began within ${open.title}`);
      open = { title: line.trim(), compilers: 0 };
      openTitle = open.title;
      stages.push(open);
    }
  }
  return stages;
}

test("a stage's name is what the machine does: compilers run while something is compiled, and at no other time", async () => {
  // Before anything is compiled: which compiler there is, is asked once.
  vi.stubEnv("CXX", loggingCompiler());
  const cache = await almostEmptyCache();
  writeFileSync(log, "");
  vi.stubEnv("GSIC_CACHE", cache);
  vi.stubEnv("GSIC_PREBUILT", "off");
  const write = (text: string) => appendFileSync(log, `${text.trim()}\n`);
  const progress = terminalProgress({ isTTY: false, write } as unknown as NodeJS.WriteStream);
  const input = join(packageRoot, "examples/tiny-gpt2/model.toml");
  await build({ input, out: join(work, "out"), progress });
  const stages = stagesOf(readFileSync(log, "utf8"));
  const titles = stages.map(({ title }) => title.replace(/\d+ kernels for [\w-]+/, "kernels"));
  for (const title of ["Reading the model", "Packing the weights", "Compiling kernels"])
    expect(titles).toContain(title);
  for (const { title, compilers } of stages)
    if (!title.startsWith("Compiling")) expect(compilers, title).toBe(0);
  for (const title of ["Compiling the dense model", "Compiling the runtime's executable, once"])
    expect(stages.find((stage) => stage.title === title)!.compilers, title).toBeGreaterThan(0);
});
