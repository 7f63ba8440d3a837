import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import TOML from "@iarna/toml";
import { closest } from "fastest-levenshtein";
import { GsicError, messageOf } from "./errors.js";
import { targetsFolder } from "./paths.js";

/** A machine that kernels are emitted for: data alone, read from `targets/<name>.toml`. */
export interface Target {
  readonly name: string;
  readonly device: "cpu";
  /** Folder of templates, and dialect header. */
  readonly dialect: string;
  /** What the machine must have, by the names of the compiler's `__builtin_cpu_supports`. */
  readonly features: readonly string[];
  /** Compiler flags for exactly these features. */
  readonly flags: readonly string[];
  /** As `uname -m` names it, or `any`. */
  readonly architecture: string;
  readonly cost: {
    /** Bytes per second that all threads together read from memory. */
    readonly bandwidth: number;
    /** Seconds per dependent launch. */
    readonly step: number;
  };
}

/** Names of the targets that gsic knows. */
export function targetNames(): string[] {
  return readdirSync(targetsFolder)
    .filter((file) => file.endsWith(".toml"))
    .map((file) => file.slice(0, -".toml".length))
    .sort();
}

/** The targets of this machine's architecture, best first: the runtime takes the first that the CPU supports. */
export function machineTargets(): Target[] {
  const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch as string] ?? process.arch;
  const targets = targetNames().map(readTarget);
  return bestFirst(targets.filter((target) => ["any", machine].includes(target.architecture)));
}

/** In the order in which the runtime tries them: what needs most of a machine comes first. */
export function bestFirst(targets: readonly Target[]): Target[] {
  return [...targets].sort((a, b) => b.features.length - a.features.length);
}

/** Reads a target's file. Throws `target-unknown` and `target-invalid` (category usage). */
export function readTarget(name: string): Target {
  const file = join(targetsFolder, `${name}.toml`);
  if (!/^[a-z0-9-]+$/.test(name) || !existsSync(file)) {
    const known = targetNames();
    throw new GsicError({
      category: "usage",
      code: "target-unknown",
      message: `there is no target ${JSON.stringify(name)}`,
      where: targetsFolder,
      hint: `did you mean ${closest(name, known)}? Known: ${known.join(", ")}`,
    });
  }
  let fields: Record<string, unknown>;
  try {
    fields = TOML.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw invalid(file, messageOf(cause).split("\n")[0]!);
  }
  const cost = fields.cost as Record<string, unknown> | undefined;
  const { device, dialect, architecture } = fields;
  if (device !== "cpu") throw invalid(file, `device must be "cpu"`);
  if (typeof dialect !== "string") throw invalid(file, "dialect must be a string");
  if (typeof architecture !== "string") throw invalid(file, "architecture must be a string");
  if (typeof cost?.bandwidth !== "number" || typeof cost.step !== "number") {
    throw invalid(file, "[cost] needs bandwidth and step");
  }
  return {
    name,
    device,
    dialect,
    architecture,
    features: strings(fields.features, "features", file),
    flags: strings(fields.flags, "flags", file),
    cost: { bandwidth: cost.bandwidth, step: cost.step },
  };
}

function strings(value: unknown, key: string, file: string): string[] {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
  throw invalid(file, `${key} must be a list of strings`);
}

function invalid(file: string, message: string): GsicError {
  const hint = "see the other files in targets/ for the fields";
  return new GsicError({ category: "usage", code: "target-invalid", message, where: file, hint });
}
