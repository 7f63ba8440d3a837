import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { blockSizes } from "../../ir/graph.js";
import { Weights } from "../../read/weights.js";
import { safetensorsBytes } from "../files.js";
import type { Random } from "./random.js";

type Json = Record<string, unknown>;
/** A tensor by the type's name and size in bytes, its shape and its elements. */
interface Tensor {
  dtype: string;
  shape: number[];
  data: Uint8Array;
}
type Linear = Record<string, Tensor>;

const widths: Readonly<Record<string, number>> = {
  I32: 4,
  I64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
};

/**
 * A quantised checkpoint of one linear that may be wrong in one or several places: the bytes of config.json's length, four,
 * config.json, and model.safetensors.
 */
export function hostileCheckpoint(random: Random): Uint8Array {
  const { settings, linear } = random.pick(formats)(random);
  for (let changes = random.below(3); changes > 0; changes--) change(settings, linear, random);
  const config = Buffer.from(JSON.stringify(random.oneIn(20) ? {} : { quantization_config: settings }));
  const tensors = Object.entries(linear);
  let end = 0;
  const entries = tensors.map(([name, { dtype, shape, data }]) => {
    end += data.length;
    return [`x.${name}`, { dtype, shape, data_offsets: [end - data.length, end] }] as const;
  });
  const data = Buffer.concat(tensors.map(([, { data }]) => data));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(config.length);
  const file = safetensorsBytes(Object.fromEntries(entries), data);
  return Buffer.concat([length, config, random.oneIn(10) ? random.bytes(file) : file]);
}

/** Opens such a checkpoint in a folder beside its file, and reads all of its tensors. */
export async function readCheckpoint(file: string): Promise<readonly never[]> {
  const bytes = readFileSync(file);
  const begin = 4 + bytes.readUInt32LE(0);
  const folder = `${file}.folder`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), bytes.subarray(4, begin));
  writeFileSync(join(folder, "model.safetensors"), bytes.subarray(begin));
  const weights = await Weights.open(folder);
  try {
    for (const name of weights.names()) {
      const { dtype, shape, bytes } = weights.require(name);
      const { elements, bytes: blockBytes } = blockSizes[dtype];
      const count = shape.reduce((product, length) => product * length, 1);
      if (bytes !== (count / elements) * blockBytes)
        throw new Error(`${name} of ${dtype} has ${bytes} bytes`);
      if (shape.length !== 2) continue;
      const [out, d] = shape as [number, number];
      const rows = weights.readRows({ tensor: name, dtype, out, d, transposed: false, first: 0 }, 0, out);
      if (rows.length !== count) throw new Error(`${name} [${shape.join()}] has ${rows.length} elements`);
    }
  } finally {
    weights.close();
  }
  return [];
}

/** A tensor of any bytes, or of these numbers. */
function tensor(random: Random, dtype: string, shape: number[], values?: ArrayBufferView): Tensor {
  const size = shape.reduce((product, length) => product * length, 1) * widths[dtype]!;
  const data =
    values === undefined
      ? Uint8Array.from({ length: size }, () => random.next())
      : new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
  return { dtype, shape, data };
}

interface Checkpoint {
  readonly settings: Json;
  readonly linear: Linear;
}

/** Rows, inputs, and inputs of a group. */
function sizes(random: Random) {
  const [size, groups] = [random.pick([8, 32, 128]), 1 + random.below(3)];
  return { out: random.pick([8, 16]), d: size * groups, size, groups };
}

const scaleType = (random: Random) => random.pick(["F16", "BF16", "F32"]);

const formats: readonly ((random: Random) => Checkpoint)[] = [
  (random) => {
    const { out, d, size, groups } = sizes(random);
    const bits = random.pick([2, 4, 8]);
    const index = Int32Array.from({ length: d }, (_, input) =>
      random.oneIn(40) ? random.below(groups + 1) : input % groups,
    );
    return {
      settings: {
        quant_method: "gptq",
        bits,
        group_size: size,
        checkpoint_format: random.pick(["gptq", "gptq_v2"]),
      },
      linear: {
        qweight: tensor(random, "I32", [(d * bits) / 32, out]),
        qzeros: tensor(random, "I32", [groups, Math.ceil((out * bits) / 32)]),
        scales: tensor(random, scaleType(random), [groups, out]),
        ...(random.oneIn(2) && { g_idx: tensor(random, "I32", [d], index) }),
      },
    };
  },
  (random) => {
    const { out, d, size, groups } = sizes(random);
    return {
      settings: { quant_method: "awq", bits: 4, group_size: size, version: "gemm" },
      linear: {
        qweight: tensor(random, "I32", [d, out / 8]),
        qzeros: tensor(random, "I32", [groups, out / 8]),
        scales: tensor(random, scaleType(random), [groups, out]),
      },
    };
  },
  (random) => {
    const { out, d, size, groups } = sizes(random);
    const bits = random.pick([4, 8]);
    const weights = { num_bits: bits, type: "int", strategy: "group", group_size: size };
    return {
      settings: {
        quant_method: "compressed-tensors",
        format: "pack-quantized",
        config_groups: { a: { weights } },
      },
      linear: {
        weight_packed: tensor(random, "I32", [out, (d * bits) / 32]),
        weight_scale: tensor(random, scaleType(random), [out, groups]),
        weight_shape: tensor(random, "I64", [2], BigInt64Array.of(BigInt(out), BigInt(d))),
        ...(random.oneIn(2) && {
          weight_zero_point: tensor(random, "I32", [Math.ceil((out * bits) / 32), groups]),
        }),
      },
    };
  },
  (random) => {
    const { out, d, size, groups } = sizes(random);
    return {
      settings: { quant_method: "fp8", weight_block_size: [4, size] },
      linear: {
        weight: tensor(random, "F8_E4M3", [out, d]),
        weight_scale_inv: tensor(random, "F32", [Math.ceil(out / 4), groups]),
      },
    };
  },
  (random) => {
    const [out, groups] = [8, 1 + random.below(3)];
    const state = { blocksize: 64, shape: [out, 64 * groups], nested_blocksize: 256, nested_offset: 0.5 };
    const nested = random.oneIn(2);
    return {
      settings: { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
      linear: {
        weight: tensor(random, "U8", [32 * out * groups, 1]),
        "weight.absmax": tensor(random, nested ? "U8" : "F32", [out * groups]),
        "weight.quant_map": tensor(random, "F32", [16]),
        ...(nested && {
          "weight.nested_absmax": tensor(random, "F32", [1]),
          "weight.nested_quant_map": tensor(random, "F32", [256]),
        }),
        "weight.quant_state.bitsandbytes__nf4": stateOf(random, JSON.stringify(state)),
      },
    };
  },
];

function stateOf(random: Random, text: string): Tensor {
  const bytes = Buffer.from(text);
  const changed = random.oneIn(6) ? random.bytes(bytes) : bytes;
  return tensor(random, "U8", [changed.length], changed);
}

const odd: readonly unknown[] = [
  0,
  -1,
  3,
  1e9,
  2 ** 53,
  0.5,
  "",
  "gptq",
  null,
  [],
  {},
  true,
  [1],
  [0, 8],
  [1e9, 1e9],
];

/** Makes one thing wrong, or another thing of it. */
function change(settings: Json, linear: Linear, random: Random): void {
  const names = Object.keys(linear);
  const name = random.pick(names);
  const tensor = linear[name]!;
  switch (random.below(6)) {
    case 0:
      settings[random.pick(Object.keys(settings))] = random.pick(odd);
      break;
    case 1:
      if (names.length > 1) delete linear[name];
      break;
    case 2:
      linear[random.pick(["g_idx", "weight_g_idx", "weight_zero_point", "weight", "bias", name])] = tensor;
      break;
    case 3: {
      const type = random.pick(Object.keys(widths));
      if (widths[type] === widths[tensor.dtype]) linear[name] = { ...tensor, dtype: type };
      break;
    }
    case 4:
      linear[name] = { ...tensor, shape: [...tensor.shape].reverse() };
      break;
    default: {
      // One row more or less, as the shape says as well.
      const [rows = 1, ...rest] = tensor.shape;
      const row = tensor.data.length / rows;
      const fewer = random.oneIn(2) && rows > 1;
      const data = fewer
        ? tensor.data.subarray(row)
        : Buffer.concat([tensor.data, tensor.data.subarray(0, row)]);
      linear[name] = { dtype: tensor.dtype, shape: [rows + (fewer ? -1 : 1), ...rest], data };
    }
  }
}
