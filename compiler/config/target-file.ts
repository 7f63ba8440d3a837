import { readFileSync } from "node:fs";
import { basename } from "node:path";
import TOML from "@iarna/toml";
import { closest } from "fastest-levenshtein";
import { GsicError, messageOf } from "../support/errors.js";
import type { CostModel, GpuShape, Target } from "./target.js";

type Table = Readonly<Record<string, unknown>>;

/** Every key that a target's file may have; `gpu` and `cost` are tables. */
const keys = {
  cpu: {
    "": ["device", "dialect", "architecture", "features", "flags", "cost"],
    cost: ["bandwidth", "step"],
  },
  gpu: {
    "": ["device", "dialect", "architecture", "flags", "gpu", "cost"],
    gpu: ["wave", "compute_units", "lds", "workgroups_per_unit", "waves_per_workgroup", "cache_bandwidth"],
    cost: ["bandwidth", "launch", "step"],
  },
} as const;

/** Most lanes of a workgroup, on AMD's and on NVIDIA's devices. */
const mostLanes = 1024;
/** Bytes of LDS that a code object may declare: on NVIDIA's devices more must be asked for at launch. */
const mostStaticLds = { hip: 160 * 1024, cuda: 48 * 1024 } as const;

/** Reads and checks a target's file. Throws `target-invalid` (category usage) with the file, the field and what to do. */
export function readTargetFile(file: string): Target {
  let table: Table;
  try {
    table = TOML.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw invalid(file, "", messageOf(cause).split("\n")[0]!, "correct the TOML");
  }
  return new Fields(file, "", table).target(basename(file, ".toml"));
}

/** Typed access to one table of a target's file. */
class Fields {
  constructor(
    private readonly file: string,
    private readonly section: string,
    private readonly table: Table,
  ) {}

  target(name: string): Target {
    const device = this.choice("device", ["cpu", "hip", "cuda"]);
    const allowed = keys[device === "cpu" ? "cpu" : "gpu"];
    this.refuseUnknown(allowed[""]);
    const common = {
      name,
      dialect: this.text("dialect"),
      architecture: this.text("architecture"),
      flags: this.texts("flags"),
      cost: this.inner("cost", allowed.cost).cost(device === "cpu"),
    };
    if (device === "cpu") return { device, ...common, features: this.texts("features") };
    return { device, ...common, gpu: this.inner("gpu", keys.gpu.gpu).gpu(device) };
  }

  private inner(section: string, allowed: readonly string[]): Fields {
    const value = this.table[section];
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw invalid(this.file, section, "the table is missing", `begin it with [${section}]`);
    const fields = new Fields(this.file, section, value as Table);
    fields.refuseUnknown(allowed);
    return fields;
  }

  private cost(cpu: boolean): CostModel {
    return {
      bandwidth: this.positive("bandwidth"),
      launch: cpu ? 0 : this.positive("launch"),
      step: this.positive("step"),
    };
  }

  private gpu(device: "hip" | "cuda"): GpuShape {
    const wave = this.count("wave", 64);
    if (wave !== 32 && wave !== 64) throw this.error("wave", `${wave} is no wave size`, "32 or 64");
    const waves = this.count("waves_per_workgroup", mostLanes / wave);
    return {
      wave,
      computeUnits: this.count("compute_units", 4096),
      lds: this.count("lds", mostStaticLds[device]),
      workgroupsPerUnit: this.count("workgroups_per_unit", 32),
      wavesPerWorkgroup: waves,
      cacheBandwidthPerUnit: this.positive("cache_bandwidth"),
    };
  }

  private refuseUnknown(allowed: readonly string[]): void {
    const key = Object.keys(this.table).find((one) => !allowed.includes(one));
    if (key === undefined) return;
    const hint = `did you mean ${closest(key, [...allowed])}? Known: ${allowed.join(", ")}`;
    throw this.error(key, "there is no such field", hint);
  }

  private text(key: string): string {
    const value = this.table[key];
    if (typeof value === "string" && value !== "") return value;
    throw this.error(key, "it must be a string", "see the other files in targets/");
  }

  private choice<T extends string>(key: string, choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.table[key]);
    if (found !== undefined) return found;
    const shown = JSON.stringify(this.table[key]) ?? "nothing";
    throw this.error(key, `${shown} is not known`, `one of: ${choices.join(", ")}`);
  }

  private texts(key: string): string[] {
    const value = this.table[key];
    if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
    throw this.error(key, "it must be a list of strings", `write ${key} = [...]; it may be empty`);
  }

  private positive(key: string): number {
    const value = this.table[key];
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
    throw this.error(key, "it must be a positive number", "see the other files in targets/ for its unit");
  }

  private count(key: string, most: number): number {
    const value = this.table[key];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
    throw this.error(key, "it must be a positive integer", `at most ${most}`);
  }

  private error(key: string, message: string, hint: string): GsicError {
    return invalid(this.file, this.section === "" ? key : `${this.section}.${key}`, message, hint);
  }
}

function invalid(file: string, field: string, message: string, hint: string): GsicError {
  return new GsicError({
    category: "usage",
    code: "target-invalid",
    message: field === "" ? message : `${field}: ${message}`,
    where: field === "" ? file : `${file}: ${field}`,
    hint,
  });
}
