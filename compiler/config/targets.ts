import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { closest } from "fastest-levenshtein";
import { GsicError } from "../support/errors.js";
import { targetsFolder } from "../support/paths.js";
import { type CpuTarget, isCpu, type Target } from "./target.js";
import { readTargetFile } from "./target-file.js";

/** Names of the targets that gsic knows. */
export function targetNames(): string[] {
  return readdirSync(targetsFolder)
    .filter((file) => file.endsWith(".toml"))
    .map((file) => file.slice(0, -".toml".length))
    .sort();
}

/**
 * The CPU targets of this machine's architecture, best first: the runtime takes the first that the CPU supports, which
 * cc/machine.ts tells.
 */
export function machineTargets(): CpuTarget[] {
  const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch as string] ?? process.arch;
  const targets = targetNames().map(readTarget).filter(isCpu);
  return bestFirst(targets.filter((target) => ["any", machine].includes(target.architecture)));
}

/**
 * In the order in which the runtime tries them: of CPUs what needs most of a machine comes first; GPUs exclude each
 * other, so theirs is the order that they were named in.
 */
export function bestFirst<T extends Target>(targets: readonly T[]): T[] {
  return [...targets].sort((a, b) => b.features.length - a.features.length);
}

/** The name that stands for every CPU target of this machine's architecture: one build for CPUs old and new. */
export const everyCpu = "cpu";

/**
 * The targets of those names, best first; `everyCpu` names several. All are of one device, since one set of kernels serves
 * them. Throws `targets-none` and `targets-mixed` (category usage).
 */
export function targetsOf(names: readonly string[]): readonly Target[] {
  const named = [...new Set(names)].flatMap((name) =>
    name === everyCpu ? machineTargets() : [readTarget(name)],
  );
  const distinct = new Map(named.map((target) => [target.name, target]));
  const targets = bestFirst([...distinct.values()]);
  const refuse = (code: string, message: string, hint: string) =>
    new GsicError({ category: "usage", code, message, where: "target.name", hint });
  const first = targets[0];
  if (first === undefined)
    throw refuse("targets-none", "no target is named", "name one of targets/, or cpu, or leave it out");
  const other = targets.find(({ device, dialect }) => device !== first.device || dialect !== first.dialect);
  if (other === undefined) return targets;
  const message = `${first.name} and ${other.name} are of different kinds`;
  throw refuse("targets-mixed", message, "build for one kind of device at a time");
}

/** Reads a target's file. Throws `target-unknown` and `target-invalid` (category usage). */
export function readTarget(name: string): Target {
  const file = join(targetsFolder, `${name}.toml`);
  if (/^[a-z0-9-]+$/.test(name) && existsSync(file)) return readTargetFile(file);
  const known = targetNames();
  throw new GsicError({
    category: "usage",
    code: "target-unknown",
    message: `there is no target ${JSON.stringify(name)}`,
    where: targetsFolder,
    hint: `did you mean ${closest(name, known)}? Known: ${[everyCpu, ...known].join(", ")}`,
  });
}
