import { basename, dirname, resolve } from "node:path";
import { type CacheType, cacheTypes } from "../ir/graph.js";
import { type BitWidth, bitWidths, type FormKind } from "../ir/plan.js";
import type { Mode } from "../ir/program.js";
import { reservedNames } from "./build-files.js";
import { Fields, oneOf, shown } from "./fields.js";
import { checkKeys, parseToml, readText, table } from "./toml.js";

/** What model.toml says, with defaults filled in and paths made absolute. */
export interface Config {
  /** Absolute path of model.toml. */
  readonly file: string;
  readonly model: {
    readonly name: string;
    /** Absolute path of a folder, a .gguf or an .onnx file, or `hf:owner/name[@revision]`. */
    readonly source: string;
    /** Longest sequence that the build supports; null: the model's own, at most 8192. */
    readonly context: number | null;
    /** How exact weights are kept where they are of a type that can be packed without loss. */
    readonly storage: Storage | PackedShapes;
    /** `screened`: the largest logit is found by bounds, without reading all of the head; `whole`: by all logits. */
    readonly head: (typeof heads)[number];
  };
  readonly calibration: {
    /** Absolute paths; empty: the model samples its own text. */
    readonly text: readonly string[];
    /** Absolute path of collected statistics, instead of text. */
    readonly stats: string | null;
    readonly tokens: number;
    /** Tokens per sequence that calibration and evaluation run at a time. */
    readonly window: number;
    readonly seed: number;
  };
  readonly heldout: { readonly text: readonly string[]; readonly tokens: number };
  readonly quality: {
    readonly mode: Mode;
    /** Mean KL to the dense model on held-out text, nats per token, that a bounded build should not exceed. */
    readonly maxKl: number | null;
    /** Instead: what a file of llama.cpp's types may take. */
    readonly maxSize: FileSize | null;
  };
  readonly plan: PlanOptions;
  readonly target: {
    readonly names: readonly string[] | null;
    /** Absolute path of measured choices (config/tuning.ts); null: those beside model.toml, if there are any. */
    readonly tuning: string | null;
  };
}

/** `stored`: as the model's file has them; `packed`: in fewer bits, without loss; `auto`: as is measured to be faster. */
type Storage = (typeof storages)[number];

/** Shapes of the matrices that are packed, such as `576x1536` for 576 rows of 1,536; all others are kept as stored. */
type PackedShapes = readonly string[];

/** The most that the tensors of a GGUF file may take: bytes of all, or bits a weight of its matrices. */
type FileSize = { readonly bytes: number } | { readonly bits: number };

/** Narrows what may be chosen for a linear. */
export interface PlanOptions {
  readonly forms: readonly FormKind[];
  /** Columns of a gated form's basis. */
  readonly k: readonly number[];
  readonly epsilon: readonly number[];
  /** Bits of a tiered form's weights. */
  readonly bits: readonly BitWidth[];
  /** Columns of a tiered form's correction. */
  readonly rank: readonly number[];
  /** `gguf`: instead of a form, every matrix gets one of llama.cpp's types; null: forms. */
  readonly types: "gguf" | null;
  /** How the KV cache keeps keys and values; `auto`: as the planner measures that it pays. */
  readonly kv: CacheType | "auto";
  /** Positions behind which the planner counts what reading the cache takes. */
  readonly kvTokens: number;
}

/** Every key that model.toml may have. */
const keys: Readonly<Record<string, readonly string[]>> = {
  model: ["name", "source", "context", "storage", "head"],
  calibration: ["text", "stats", "tokens", "window", "seed"],
  heldout: ["text", "tokens"],
  quality: ["mode", "max_kl", "max_bytes", "bits"],
  plan: ["forms", "k", "epsilon", "bits", "rank", "types", "kv", "kv_tokens"],
  target: ["name", "tuning"],
};

/** What can name a build: it becomes the name of files, and stands in generated text. */
export const buildName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What every linear gets before a planner chooses: the configured form, or dense where there is a choice. */
export function configuredForm(options: PlanOptions): PlanOptions {
  return isConfigured(options) ? options : { ...options, forms: ["dense"] };
}

/** Whether the options leave no choice but one form with one set of parameters. */
export function isConfigured({ forms: allowed, k, epsilon, bits: widths, rank }: PlanOptions): boolean {
  const subspace = k.length === 1 && epsilon.length === 1;
  const tier = widths.length === 1 && rank.length === 1;
  const kind = allowed[0]!;
  if (allowed.length > 1) return false;
  switch (kind) {
    case "dense":
      return true;
    case "gated":
      return subspace;
    case "tiered":
      return tier;
    case "gated+tiered":
      return subspace && tier;
    default:
      return kind satisfies never;
  }
}

/** How a build may be run. */
export const modes = ["exact", "bounded", "lossless"] as const satisfies readonly Mode[];
const storages = ["stored", "packed", "auto"] as const;
const heads = ["whole", "screened"] as const;
const forms = ["dense", "gated", "tiered", "gated+tiered"] as const;

/** Reads model.toml. Throws `config-*` errors (category usage) that name the line or the key. */
export function readConfig(path: string): Config {
  const file = resolve(path);
  const text = readText(file);
  const document = parseToml(text, file);
  checkKeys(document, Object.keys(keys), file, text, "");
  for (const [section, allowed] of Object.entries(keys)) {
    checkKeys(table(document, section, file), allowed, file, text, `${section}.`);
  }
  return new Reader(file, document).config();
}

/** The configuration that the tables of one parsed file describe. */
class Reader extends Fields {
  config(): Config {
    const stats = this.text("calibration", "stats", null);
    const text = this.paths("calibration", "text");
    if (stats !== null && text.length > 0) {
      throw this.error("calibration.stats", "calibration has both text and stats", "keep one of the two");
    }
    const source = this.text("model", "source", null);
    if (source === null)
      throw this.error("model.source", "model.source is missing", 'add source = "..." to [model]');
    if (source.trim() === "") {
      const hint = 'name a folder, a .gguf or .onnx file, or "hf:owner/name"';
      throw this.error("model.source", "model.source is empty", hint);
    }
    const tuning = this.text("target", "tuning", null);
    return {
      file: this.file,
      model: {
        name: this.name(),
        source: source.startsWith("hf:") ? source : this.path(source),
        context: this.integer("model", "context", null),
        storage: this.storage(),
        head: this.choice("model", "head", heads, "whole"),
      },
      calibration: {
        text,
        stats: stats === null ? null : this.path(stats),
        tokens: this.integer("calibration", "tokens", 8192),
        window: this.integer("calibration", "window", 512),
        seed: this.integer("calibration", "seed", 1, 0),
      },
      heldout: { text: this.paths("heldout", "text"), tokens: this.integer("heldout", "tokens", 4096) },
      quality: this.quality(),
      plan: { ...this.plan(), types: this.types() },
      target: { names: this.targets(), tuning: tuning === null ? null : this.path(tuning) },
    };
  }

  private name(): string {
    const name = this.text("model", "name", basename(dirname(this.file)));
    if (!buildName.test(name)) {
      const hint = "use letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 64";
      throw this.error("model.name", `${JSON.stringify(name)} cannot name a build`, hint);
    }
    if (reservedNames.includes(name)) {
      const hint = `these are files of every build: ${reservedNames.join(", ")}`;
      throw this.error("model.name", `${JSON.stringify(name)} cannot name a build`, hint);
    }
    return name;
  }

  private storage(): Config["model"]["storage"] {
    const given = this.value("model", "storage");
    if (given !== undefined && typeof given !== "string" && !Array.isArray(given)) {
      const hint = `${oneOf(storages)}, or a list of shapes, e.g. ["576x1536"]`;
      throw this.error("model.storage", `storage = ${shown(given)} is no way to keep weights`, hint);
    }
    if (!Array.isArray(given)) return this.choice("model", "storage", storages, "stored");
    return this.list("model", "storage", []).map((value) => {
      if (typeof value === "string" && /^[1-9]\d*x[1-9]\d*$/.test(value)) return value;
      const hint = 'give rows and columns of matrices, e.g. storage = ["576x1536"]';
      throw this.error("model.storage", `storage = ${shown(value)} is not a shape`, hint);
    });
  }

  private quality(): Config["quality"] {
    const mode = this.choice("quality", "mode", modes, "exact");
    const maxKl = this.positive("quality", "max_kl", "give nats per token, e.g. max_kl = 0.02");
    const bytes = this.integer("quality", "max_bytes", null);
    const bits = this.positive("quality", "bits", "give bits a weight, e.g. bits = 4.5");
    const limits = Object.entries({ max_kl: maxKl, max_bytes: bytes, bits }).filter(
      ([, one]) => one !== null,
    );
    const [first, second] = limits.map(([key]) => key);
    if (second !== undefined) {
      const hint = "keep one: the planner takes the least KL for a size, or the least size for a KL";
      throw this.error(`quality.${second}`, `quality has both ${first} and ${second}`, hint);
    }
    const maxSize = bytes !== null ? { bytes } : bits !== null ? { bits } : null;
    if (maxSize !== null && this.value("plan", "types") === undefined) {
      const hint = 'add types = "gguf" to [plan], or give max_kl instead';
      throw this.error(`quality.${first}`, `${first} is the size of a GGUF file, and none is planned`, hint);
    }
    return { mode, maxKl, maxSize };
  }

  private types(): PlanOptions["types"] {
    if (this.value("plan", "types") === undefined) return null;
    const types = this.choice("plan", "types", ["gguf"], "gguf");
    const form = keys.plan!.find((key) => key !== "types" && this.value("plan", key) !== undefined);
    if (form !== undefined)
      throw this.error(
        "plan.types",
        `plan has both types and ${form}`,
        form === "kv" || form === "kv_tokens"
          ? `what is measured is the file, whose cache is not rounded: leave out ${form}`
          : "a matrix has a type or a form: keep one",
      );
    if (this.value("quality", "mode") !== "bounded")
      throw this.error("plan.types", "types are for bounded builds", 'write mode = "bounded" in [quality]');
    return types;
  }

  private plan(): Omit<PlanOptions, "types"> {
    const chosen = this.list("plan", "forms", forms).map((form) => {
      const known = forms.find((candidate) => candidate === form);
      if (known === undefined)
        throw this.error("plan.forms", `unknown form ${JSON.stringify(form)}`, oneOf(forms, String(form)));
      return known;
    });
    const k = this.list("plan", "k", [32, 64, 128, 256]).map((value) => {
      if (!Number.isSafeInteger(value) || (value as number) < 1) {
        throw this.error("plan.k", `k = ${shown(value)} is not a positive integer`, "give e.g. k = [64]");
      }
      return value as number;
    });
    const epsilon = this.list("plan", "epsilon", [0.05, 0.1, 0.2]).map((value) => {
      if (typeof value !== "number" || !(value > 0 && value <= 1)) {
        const hint = "epsilon is ||residual|| / ||x||, above 0 and at most 1";
        throw this.error("plan.epsilon", `epsilon = ${shown(value)} is out of range`, hint);
      }
      return value;
    });
    const quantized = this.list("plan", "bits", bitWidths).map((value) => {
      const known = bitWidths.find((candidate) => candidate === value);
      if (known === undefined)
        throw this.error("plan.bits", `bits = ${shown(value)} is not offered`, oneOf(bitWidths.map(String)));
      return known;
    });
    const rank = this.list("plan", "rank", [0, 16]).map((value) => {
      if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) % 4 !== 0) {
        const hint = "give multiples of 4, e.g. rank = [0, 16]";
        throw this.error("plan.rank", `rank = ${shown(value)} is not a multiple of 4`, hint);
      }
      return value as number;
    });
    return {
      forms: chosen,
      k,
      epsilon,
      bits: quantized,
      rank,
      kv: this.choice("plan", "kv", [...cacheTypes, "auto"], "f32"),
      kvTokens: this.integer("plan", "kv_tokens", 2048),
    };
  }

  private targets(): readonly string[] | null {
    const name = this.value("target", "name");
    if (name === undefined) return null;
    const names = Array.isArray(name) ? name : [name];
    return names.map((one) => {
      if (typeof one !== "string")
        throw this.error("target.name", "target.name must be a string", "see targets/");
      return one;
    });
  }
}
