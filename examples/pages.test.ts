/** The commands of the pages of examples/, as they stand there. */

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { packageRoot } from "../compiler/support/paths.js";
import { CommandLine, type Outcome, start } from "../compiler/testing/cli.js";
import { buildTiny, type TinyBuild } from "../compiler/testing/tiny.js";

const folder = join(packageRoot, "examples");
let gsic: CommandLine;
let built: TinyBuild;
/** Where commands run: it has build/tiny-gpt2, model/, and examples/ as a clone has. */
let work: string;

beforeAll(async () => {
  gsic = new CommandLine();
  built = await buildTiny();
  work = dirname(dirname(built.folder));
  symlinkSync(folder, join(work, "examples"));
  mkdirSync(join(work, "bin"));
  writeFileSync(join(work, "bin/npx"), `#!/bin/sh\nshift\nexec ${gsic.command} "$@"\n`);
  chmodSync(join(work, "bin/npx"), 0o755);
});

afterAll(() => {
  built?.remove();
});

/** The fenced blocks of a page in a language; commands stand in blocks without one. */
function blocks(page: string, language = ""): string[] {
  const text = readFileSync(join(folder, page, "README.md"), "utf8");
  const found = [...text.matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm)];
  return found
    .filter((match) => match[2] === language)
    .map((match) => match[3]!.replaceAll(new RegExp(`^${match[1]}`, "gm"), ""));
}

/** Runs a block in bash, which ends at the first command that fails. */
function run(script: string, cwd = work): Promise<Outcome> {
  const PATH = `${join(work, "bin")}${delimiter}${process.env.PATH}`;
  return start("bash", ["-euc", script], { cwd, env: { PATH } }).outcome;
}

/** Runs a block, which must succeed; returns what it printed. */
async function succeed(script: string, cwd = work): Promise<string> {
  const { code, stdout, stderr } = await run(script, cwd);
  expect(code, `${script}\n${stderr}`).toBe(0);
  return stdout;
}

test("model-toml: from model.toml to text", async () => {
  const [, buildAndRun] = blocks("model-toml");
  const mine = join(work, "mine");
  mkdirSync(mine);
  symlinkSync(join(work, "model"), join(mine, "model"));
  writeFileSync(join(mine, "model.toml"), blocks("model-toml", "toml")[0]!);
  expect(await succeed(buildAndRun!, mine)).toMatch(/\nOnce upon a time, there was/);
});

test("report: inspect in its three ways, and eval", async () => {
  const [inspect, measure] = blocks("report");
  const printed = await succeed(inspect!);
  for (const text of ["layer0", '"linears"', "digraph"]) expect(printed).toContain(text);
  // `gsic bench` has tests of its own.
  expect(await succeed(measure!.split("\n")[0]!)).toContain("held-out");
});

const python = spawnSync("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]).status === 0;

test.skipIf(!python)("pip: a whole model from Python, which needs no package", async () => {
  const sources = `export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=${join(packageRoot, "runtime/python")}\n`;
  const command = blocks("pip", "sh")[1]!.replace("python ", "python3 ");
  const [first, ...rest] = (await succeed(sources + command)).split("\n(");
  expect(`${first}\n`).toBe(await succeed('build/tiny-gpt2/tiny-gpt2 "The little fox" --tokens 60'));
  for (const text of ["stop) ", "likeliest '", "perplexity "]) expect(rest.join("\n(")).toContain(text);
  const wrong = await run(`${sources}python3 -c 'import gsic; gsic.load("examples")'`);
  expect(wrong.stderr).toContain("examples: holds no bundle (.gsi), and so is no build; give the folder");
});

test("serve: the request is answered", async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  await new Promise((closed) => probe.close(closed));
  const [command, request] = blocks("serve").map((text) => text.replaceAll("8080", String(port)));
  const { child, outcome } = gsic.start(command!.trim().split(" ").slice(2), { cwd: work });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  await once(child.stdout!, "data");
  expect(JSON.parse(await succeed(request!))).toMatchObject({
    choices: [{ text: expect.stringMatching(/^, there was/), finish_reason: "length" }],
  });
  child.kill("SIGTERM");
  expect((await outcome).code).toBe(0);
});

test("c: the program compiles without a warning, and prints a story", async () => {
  const { code, stdout, stderr } = await run(blocks("c")[0]!);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^The little fox .{40,}\n$/);
  const refused = await run("./story build/none.gsi x");
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("none.gsi") });
});

test("kernels: they compile without gsic", async () => {
  await succeed(blocks("kernels")[0]!);
  expect(await succeed("nm -D --defined-only kernels.so")).toMatch(/ T gsic_layer_norm_192$/m);
});
