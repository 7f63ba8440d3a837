/**
 * `npm run same [-- FILE] [NAME ...]`: the SHA-256 of what builds consist of, so that a change of the compiler's structure can
 * be shown to change nothing. Builds tiny-gpt2 in every mode, and every fixture of a model, dense and with all gates and
 * tiers, for the CPU targets and for mi300x; prints a line for each bundle, kernel, program.json and graph.ts. With the
 * file of an earlier list it prints the lines that differ, and ends with 1 if there are any. Names narrow the builds;
 * `--uncompiled` takes a minute instead of half an hour, and stops before machine code (same-uncompiled.ts).
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../support/paths.js";
import { filesBelow, start } from "./cli.js";
import { fixtureNames, fixtureSource } from "./fixtures.js";
import { uncompiledLines } from "./same-uncompiled.js";

const targets = ["cpu-avx512,cpu-avx2,cpu-portable", "mi300x"];

/** One build: what is built, for which targets, in which mode. */
interface Job {
  readonly name: string;
  readonly config: string;
  readonly target: string;
  readonly mode: string;
}

/** Every linear gated and at few bits, with both gates; no search. */
const everyTier = `[calibration]
tokens = 256
[quality]
mode = "bounded"
[plan]
forms = ["gated+tiered"]
k = [8]
epsilon = [0.2]
bits = [4]
rank = [4]
`;

async function main(args: readonly string[]): Promise<void> {
  const earlier = args.find((arg) => existsSync(arg) && statSync(arg).isFile());
  const names = args.filter((arg) => arg !== earlier && arg !== "--uncompiled");
  const list = args.includes("--uncompiled") ? await uncompiledLines(names) : await builtLines(names);
  process.stdout.write(earlier === undefined ? `${list.join("\n")}\n` : differences(earlier, list, names));
}

/** Builds everything, as many builds at a time as there are cores. */
async function builtLines(names: readonly string[]): Promise<string[]> {
  // Beside the repository's own builds: graph.ts names model.toml by its path from the build.
  await mkdir(join(packageRoot, "build"), { recursive: true });
  const work = await mkdtemp(join(packageRoot, "build/same-"));
  try {
    const jobs = (await allJobs(work)).filter(({ name }) => names.length === 0 || names.includes(name));
    const lines: string[][] = jobs.map(() => []);
    let next = 0;
    const worker = async () => {
      for (let index = next++; index < jobs.length; index = next++) {
        lines[index] = await linesOf(jobs[index]!, join(work, `out-${index}`));
        process.stderr.write(`${index + 1} of ${jobs.length}: ${titleOf(jobs[index]!)}\n`);
      }
    };
    await Promise.all(cpus().map(worker));
    return lines.flat();
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** All builds, in a fixed order; writes the model.toml of each fixture. */
async function allJobs(work: string): Promise<Job[]> {
  const tiny = join(packageRoot, "examples/tiny-gpt2/model.toml");
  const modes = ["exact", "bounded", "lossless"];
  const jobs = modes.flatMap((mode) =>
    targets.map((target) => ({ name: "tiny-gpt2", config: tiny, target, mode })),
  );
  for (const name of fixtureNames()) {
    const source = `[model]\nname = "${name}"\nsource = "${fixtureSource(name)}"\n`;
    for (const [mode, rest] of [["exact", ""] as const, ["bounded", everyTier] as const]) {
      const config = join(work, `${name}-${mode}.toml`);
      await writeFile(config, source + rest);
      jobs.push(...targets.map((target) => ({ name, config, target, mode })));
    }
  }
  return jobs;
}

/** Builds, and hashes what the build consists of; one line with the error where it cannot be built. */
async function linesOf(job: Job, out: string): Promise<string[]> {
  const args = ["build", job.config, "--target", job.target, "--mode", job.mode, "--out", out];
  const failure = await complaint(args);
  if (failure !== null) return [`${"-".repeat(64)}  ${titleOf(job)}: ${failure}`];
  const lines = filesBelow(out)
    .filter(isCompared)
    .map((file) => `${sha256(join(out, file))}  ${titleOf(job)}: ${file}`);
  await rm(out, { recursive: true, force: true });
  return lines;
}

function titleOf({ name, target, mode }: Job): string {
  return `${name} ${mode} ${target.startsWith("cpu") ? "cpu" : target}`;
}

/** Sources of kernels, not the headers that lie beside them: these are in the repository. */
function isCompared(file: string): boolean {
  if (file.startsWith("kernels/")) return file.endsWith(".cpp");
  return file.endsWith(".gsi") || file === "program.json" || file === "graph.ts";
}

function sha256(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** Runs gsic; returns the first line of what it complained of, or null. */
async function complaint(args: readonly string[]): Promise<string | null> {
  const main = join(packageRoot, "dist/compiler/main.js");
  const { code, stderr } = await start(process.execPath, [main, ...args], { cwd: packageRoot }).outcome;
  if (code === 0) return null;
  const lines = stderr.split(/[\r\n]+/).filter((line) => line.trim() !== "");
  return lines.find((line) => line.includes("error")) ?? lines.at(-1) ?? `exit ${code}`;
}

/** Lines that only one of two lists has; sets the exit code if there are any. */
function differences(earlier: string, list: readonly string[], names: readonly string[]): string {
  const before = readFileSync(earlier, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  const wanted = before.filter((line) => names.length === 0 || names.includes(line.split(/ +/)[1]!));
  const [old, now] = [new Set(wanted), new Set(list)];
  const gone = wanted.filter((line) => !now.has(line)).map((line) => `- ${line}\n`);
  const come = list.filter((line) => !old.has(line)).map((line) => `+ ${line}\n`);
  if (gone.length + come.length > 0) process.exitCode = 1;
  return `${[...gone, ...come].join("")}${list.length} lines, ${gone.length} gone, ${come.length} new\n`;
}

await main(process.argv.slice(2));
