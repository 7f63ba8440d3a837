import { blockSizes, type TensorInfo } from "../ir/graph.js";
import { badInput } from "./file.js";
import { type QuantizationSettings, quantizationSettings } from "./quantized-config.js";
import { type QuantizedTensor, type ReadTensor, StoredLinear } from "./quantized-linear.js";
import { nibbleLinear } from "./quantized-nibbles.js";
import { awqLinear, gptqLinear } from "./quantized-packed.js";
import { byteLinear, compressedLinear } from "./quantized-scaled.js";
import type { RawTensorInfo, Safetensors } from "./safetensors-header.js";

/** The tensors of a checkpoint, with one `<linear>.weight` in place of those that a quantised linear is stored as. */
interface QuantizedContent extends Pick<Safetensors, "tensors" | "ignored"> {
  readonly quantized: ReadonlyMap<string, QuantizedTensor>;
}

/** What stands behind a linear's name in the names of its tensors: the one that every quantised linear has first. */
const parts: Readonly<Record<QuantizationSettings["method"], readonly string[]>> = {
  gptq: ["qweight", "qzeros", "scales", "g_idx"],
  awq: ["qweight", "qzeros", "scales"],
  "compressed-tensors": [
    "weight_scale",
    "weight",
    "weight_packed",
    "weight_zero_point",
    "weight_shape",
    "weight_g_idx",
    "input_scale",
    "input_zero_point",
    "output_scale",
    "output_zero_point",
  ],
  fp8: ["weight", "weight_scale_inv", "weight_scale", "input_scale", "input_scale_ub", "activation_scale"],
  bitsandbytes: [
    "weight.absmax",
    "weight",
    "weight.quant_map",
    "weight.nested_absmax",
    "weight.nested_quant_map",
    "weight.quant_state.bitsandbytes__nf4",
    "weight.quant_state.bitsandbytes__fp4",
  ],
};

/**
 * Gathers the linears of a quantised checkpoint. Throws `quantization-unsupported` for what config.json names and gsic
 * does not read, `quantized-tensor` for tensors that contradict it.
 */
export function readQuantized(
  { tensors, ignored }: Pick<Safetensors, "tensors" | "ignored">,
  config: Readonly<Record<string, unknown>>,
  folder: string,
  read: ReadTensor,
): QuantizedContent {
  const file = `${folder}/config.json`;
  const settings = quantizationSettings(config, file);
  if (settings === null) {
    refuseUndeclared(ignored, file);
    return { tensors, ignored, quantized: new Map() };
  }
  const plain = new Map(tensors);
  const others = new Map(ignored);
  const quantized = new Map<string, QuantizedTensor>();
  const [marker, ...rest] = parts[settings.method];
  const all = new Map<string, RawTensorInfo>(
    [...tensors, ...ignored].map(([name, info]) => [name, rawOf(info)]),
  );
  for (const [name, info] of all) {
    if (!name.endsWith(`.${marker}`)) continue;
    if (settings.method === "fp8" && info.dtype !== "F8_E4M3") continue;
    const prefix = name.slice(0, -marker!.length - 1);
    const linear = linearOf(prefix, [marker!, ...rest], all, folder);
    const tensor = tensorOf(linear, settings, read);
    for (const part of linear.parts.values()) for (const map of [plain, others]) map.delete(part.name);
    const weight = `${prefix}.weight`;
    const { out, d, dtype } = tensor;
    const block = blockSizes[dtype];
    quantized.set(weight, tensor);
    const main =
      linear.parts.get("qweight") ?? linear.parts.get("weight_packed") ?? linear.parts.get("weight");
    const { file, offset } = main ?? info;
    plain.set(weight, {
      name: weight,
      dtype,
      shape: [out, d],
      file,
      offset,
      bytes: ((out * d) / block.elements) * block.bytes,
    });
  }
  if (quantized.size === 0 && !mayBePlain(settings)) throw plainWeights(settings, marker!, file);
  return { tensors: plain, ignored: others, quantized };
}

/** Whether the settings are also those of weights as they were before: compressed-tensors keeps a record of no scheme. */
function mayBePlain(settings: QuantizationSettings): boolean {
  return settings.method === "compressed-tensors" && (settings.dense || settings.bits.length === 0);
}

/** Of a config.json that was copied to weights which are not quantised, or the reverse: which of both is meant is unknown. */
function plainWeights({ method }: QuantizationSettings, marker: string, file: string) {
  return badInput(
    "quantization-plain",
    `config.json says that linears are quantised by ${method}, but none is: no tensor is called <linear>.${marker}${method === "fp8" ? " and of type F8_E4M3" : ""}`,
    `${file}: quantization_config`,
    "remove quantization_config to build the weights as they are, or take the quantised weights from the checkpoint's publisher",
  );
}

function linearOf(
  prefix: string,
  parts: readonly string[],
  all: ReadonlyMap<string, RawTensorInfo>,
  folder: string,
): StoredLinear {
  const found = parts.flatMap((part) => {
    const info = all.get(`${prefix}.${part}`);
    return info === undefined ? [] : [[part, info] as const];
  });
  return new StoredLinear(prefix, new Map(found), folder);
}

function tensorOf(linear: StoredLinear, settings: QuantizationSettings, read: ReadTensor): QuantizedTensor {
  switch (settings.method) {
    case "gptq":
      return gptqLinear(linear, settings, read);
    case "awq":
      return awqLinear(linear, settings);
    case "compressed-tensors":
      return compressedLinear(linear, settings, read);
    case "fp8": {
      const scale = linear.has("weight_scale_inv") ? "weight_scale_inv" : "weight_scale";
      return byteLinear(linear, scale, settings.block, []);
    }
    case "bitsandbytes":
      return nibbleLinear(linear, read);
    default:
      return settings satisfies never;
  }
}

/** With the type as the file names it. */
function rawOf(info: TensorInfo | RawTensorInfo): RawTensorInfo {
  return { ...info, dtype: info.dtype.toUpperCase() };
}

/** Refuses packed linears of which config.json says nothing, as in early files that have quantize_config.json instead. */
function refuseUndeclared(ignored: ReadonlyMap<string, RawTensorInfo>, file: string): void {
  const found = [...ignored.values()].find(
    ({ name, dtype }) =>
      /\.(qweight|weight_packed)$/.test(name) || (dtype === "F8_E4M3" && name.endsWith(".weight")),
  );
  if (found === undefined) return;
  throw badInput(
    "quantization-undeclared",
    `${JSON.stringify(found.name)} is ${found.dtype}, but config.json has no quantization_config`,
    file,
    'where there is a quantize_config.json, put its content into config.json as "quantization_config", with quant_method',
  );
}
