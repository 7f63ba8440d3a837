import { badInput } from "./file.js";

/** What `quantization_config` of config.json says of how linears are stored. */
export type QuantizationSettings =
  | {
      readonly method: "gptq";
      readonly bits: number;
      /** Inputs that share a scale; -1: all. */
      readonly group: number;
      /** Zero points are stored less 1. */
      readonly zerosLessOne: boolean;
    }
  | { readonly method: "awq"; readonly group: number }
  | {
      readonly method: "compressed-tensors";
      /** The weights are stored as they were before. */
      readonly dense: boolean;
      /** Bits, inputs of a group, and rows and columns of a block, as the schemes name them. */
      readonly bits: readonly number[];
      readonly groups: readonly number[];
      readonly block: readonly [rows: number, columns: number] | null;
    }
  | { readonly method: "fp8"; readonly block: readonly [rows: number, columns: number] | null }
  | { readonly method: "bitsandbytes" };

type Json = Readonly<Record<string, unknown>>;

const methods = "GPTQ, AWQ, compressed-tensors, FP8 (fp8, fbgemm_fp8), bitsandbytes' 4 bits";

/** `quantization_config` of a parsed config.json; null where there is none. Throws `quantization-unsupported`. */
export function quantizationSettings(config: Json, file: string): QuantizationSettings | null {
  const found = config.quantization_config ?? config.compression_config;
  if (found === undefined || found === null) return null;
  const settings = new QuantizationConfig(found as Json, `${file}: quantization_config`);
  const method = settings.word("quant_method", settings.has("format") ? "compressed-tensors" : "");
  switch (method) {
    case "gptq":
      return gptqSettings(settings);
    case "awq":
      return awqSettings(settings);
    case "compressed-tensors":
      return compressedSettings(settings);
    case "fp8":
      settings.allow("fmt", ["e4m3", "float8_e4m3fn"], "e4m3");
      settings.allow("scale_fmt", ["float", "ue8m0"], "float");
      return { method, block: settings.block("weight_block_size") };
    case "fbgemm_fp8":
      return { method: "fp8", block: null };
    case "bitsandbytes":
      if (settings.values.load_in_4bit !== true)
        throw settings.refuse(
          "load_in_8bit",
          "true",
          "bitsandbytes' 4 bits (nf4, fp4); 8 bits split activations",
        );
      settings.allow("bnb_4bit_quant_type", ["nf4", "fp4"], "fp4");
      return { method };
    case "auto-round":
    case "auto_round":
    case "intel/auto-round":
      throw settings.refuse(
        "quant_method",
        method,
        "AutoRound's other formats, which it writes the same weights in (--format auto_gptq, auto_awq or llm_compressor)",
      );
    default:
      throw settings.refuse("quant_method", method, methods);
  }
}

function gptqSettings(settings: QuantizationConfig): QuantizationSettings {
  settings.allow("bits", [2, 4, 8]);
  settings.allow("pack_dtype", ["int32"], "int32");
  const key = settings.has("checkpoint_format") ? "checkpoint_format" : "format";
  const format = settings.allow(key, ["gptq", "gptq_v2"], "gptq");
  if (settings.values.is_marlin_format === true)
    throw settings.refuse("is_marlin_format", "true", "gptq, gptq_v2");
  return {
    method: "gptq",
    bits: settings.whole("bits"),
    group: settings.whole("group_size", -1),
    zerosLessOne: format === "gptq",
  };
}

function awqSettings(settings: QuantizationConfig): QuantizationSettings {
  settings.allow(settings.has("bits") ? "bits" : "w_bit", [4]);
  const key = ["version", "checkpoint_format", "format"].find((key) => settings.has(key)) ?? "version";
  settings.allow(key, ["gemm"], "gemm");
  return {
    method: "awq",
    group: settings.whole(settings.has("group_size") ? "group_size" : "q_group_size", -1),
  };
}

function compressedSettings(settings: QuantizationConfig): QuantizationSettings {
  const formats = [
    "pack-quantized",
    "int-quantized",
    "float-quantized",
    "naive-quantized",
    "mixed-precision",
  ];
  const format = settings.allow("format", [...formats, "dense"], "dense");
  settings.allow("quantization_status", ["compressed", "frozen"], "compressed");
  settings.refuseFilled("kv_cache_scheme", "caches of f32, which is what gsic has");
  settings.refuseFilled("transform_config", "weights without transforms");
  const sparsity = settings.values.sparsity_config as Json | null | undefined;
  const sparse = sparsity?.format ?? "dense";
  if (sparse !== "dense") throw settings.refuse("sparsity_config.format", sparse, "dense");
  const schemes = Object.entries((settings.values.config_groups ?? {}) as Json).map(
    ([name, group]) => [name, new QuantizationConfig(group as Json, settings.where)] as const,
  );
  const bits: number[] = [];
  const groups: number[] = [];
  let block: readonly [number, number] | null = null;
  for (const [name, scheme] of schemes) {
    scheme.allow("format", formats, formats[0]);
    const place = `${settings.where}.config_groups.${name}.weights`;
    if (scheme.values.weights === null || scheme.values.weights === undefined) continue;
    const weights = new QuantizationConfig(scheme.values.weights as Json, place);
    const type = weights.allow("type", ["int", "float"], "int");
    bits.push(weights.allow("num_bits", type === "int" ? [2, 4, 8] : [8], 8));
    weights.allow("strategy", ["tensor", "channel", "group", "block"], "tensor");
    groups.push(weights.whole("group_size", -1));
    block ??= weights.block("block_structure");
  }
  return { method: "compressed-tensors", dense: format === "dense", bits, groups, block };
}

/** Look-ups in a table of config.json; errors name its file and key. */
class QuantizationConfig {
  readonly values: Json;

  constructor(
    values: Json,
    readonly where: string,
  ) {
    if (typeof values !== "object" || values === null || Array.isArray(values))
      throw badInput(
        "quantization-unsupported",
        `${JSON.stringify(values)} is not an object`,
        where,
        fromPublisher,
      );
    this.values = values;
  }

  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null;
  }

  word(key: string, fallback: string): string {
    const value = this.values[key] ?? fallback;
    return typeof value === "string" ? value.toLowerCase() : JSON.stringify(value);
  }

  whole(key: string, fallback?: number): number {
    const value = this.values[key] ?? fallback;
    if (!Number.isSafeInteger(value)) throw this.refuse(key, value, "a whole number");
    return value as number;
  }

  /** The value of a key, which must be one of these. */
  allow<T extends string | number>(key: string, allowed: readonly T[], fallback?: T): T {
    const value = this.values[key] ?? fallback;
    const plain = typeof value === "string" ? value.toLowerCase() : value;
    const found = allowed.find((one) => one === plain);
    if (found === undefined) throw this.refuse(key, value, allowed.join(", "));
    return found;
  }

  /** Rows and columns of a block; null where the key is absent. */
  block(key: string): readonly [number, number] | null {
    const value = this.values[key];
    if (value === undefined || value === null) return null;
    const isBlock =
      Array.isArray(value) && value.length === 2 && value.every((n) => Number.isSafeInteger(n) && n > 0);
    if (!isBlock) throw this.refuse(key, value, "[rows, columns]");
    return value as unknown as readonly [number, number];
  }

  refuseFilled(key: string, supported: string): void {
    const value = this.values[key];
    if (value === undefined || value === null || Object.keys(value).length === 0) return;
    throw this.refuse(key, value, supported);
  }

  refuse(key: string, value: unknown, supported: string) {
    const shown = (
      typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? "absent")
    ).slice(0, 80);
    return badInput(
      "quantization-unsupported",
      `weights with ${key} = ${shown} are not supported`,
      `${this.where}.${key}`,
      `supported: ${supported}; or build the checkpoint that this one was quantised from`,
    );
  }
}

const fromPublisher = "take config.json from the checkpoint's publisher";
