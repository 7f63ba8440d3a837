import { badInput, decodeUtf8 } from "./file.js";
import {
  floatsOf,
  memoryType,
  type QuantizedTensor,
  type ReadTensor,
  type StoredLinear,
  scaleTypes,
  widened,
} from "./quantized-linear.js";
import { fourBitFloats, normalFloats, runsOf } from "./quantized-matrix.js";
import type { RawTensorInfo } from "./safetensors-header.js";
import { parsePlainJson } from "./safetensors-json.js";
import { placeOf } from "./sizes.js";

/** What quant_state says besides tensors. */
interface State {
  readonly blocksize: number;
  readonly shape: readonly [number, number];
  readonly nested_blocksize?: number;
  readonly nested_offset?: number;
}

const tables = { nf4: normalFloats, fp4: fourBitFloats } as const;
const kinds = ["nf4", "fp4"] as const;
const stateParts = kinds.map((kind) => `weight.quant_state.bitsandbytes__${kind}`);
const mapPart = "weight.quant_map";

/**
 * A linear as bitsandbytes stores it in 4 bits: weight U8, two numbers a byte, the upper half first; weight.quant_map [16],
 * what they stand for; weight.absmax, a scale for each block of elements, row after row. Where scales are nested they are
 * U8 themselves: nested_quant_map[absmax] nested_absmax[block] + nested_offset.
 */
export function nibbleLinear(linear: StoredLinear, read: ReadTensor): QuantizedTensor {
  const info = linear.part("weight", ["U8"], [1, 2]);
  const map = linear.part(mapPart, ["F32"], [1]);
  const state = stateOf(
    linear.part(stateParts.find((part) => linear.has(part)) ?? stateParts[0]!, ["U8"], [1]),
    read,
  );
  const [out, d] = state.shape;
  if (info.bytes * 2 !== out * d || d % state.blocksize !== 0)
    throw linear.wrong(info, `[${out}, ${d}] in whole blocks of ${state.blocksize}, two a byte, is needed`);
  const groups = d / state.blocksize;
  const absmax = linear.part("weight.absmax", ["F32", "U8"], [1]);
  linear.expect(map, [16]);
  linear.expect(absmax, [out * groups]);
  const scales =
    absmax.dtype === "F32" ? (read: ReadTensor) => floatsOf(absmax, read) : nested(linear, absmax, state);
  const values = floatsOf(map, read);
  const of = kinds.find((kind) => values.every((value, code) => value === tables[kind][code]));
  return {
    out,
    d,
    ...(of === undefined
      ? widened("their four bits stand for other numbers than those of NF4 and FP4")
      : memoryType({ of, bits: 4, d, size: state.blocksize, scales: absmax })),
    unpack: (read) => {
      const codes = new Uint8Array(out * d);
      for (const [index, byte] of read(info).entries()) {
        codes[2 * index] = byte >> 4;
        codes[2 * index + 1] = byte & 15;
      }
      return {
        out,
        d,
        codes,
        values: floatsOf(map, read),
        scales: scales(read),
        zeros: null,
        rows: 1,
        groups,
        groupOf: runsOf(d, state.blocksize),
      };
    },
  };
}

function nested(
  linear: StoredLinear,
  absmax: RawTensorInfo,
  state: State,
): (read: ReadTensor) => Float32Array {
  const size = state.nested_blocksize ?? 256;
  const map = linear.part("weight.nested_quant_map", ["F32"], [1]);
  const outer = linear.part("weight.nested_absmax", scaleTypes, [1]);
  linear.expect(map, [256]);
  linear.expect(outer, [Math.ceil(absmax.shape[0]! / size)]);
  return (read) => {
    const [values, factors] = [floatsOf(map, read), floatsOf(outer, read)];
    const offset = Math.fround(state.nested_offset ?? 0);
    return Float32Array.from(
      read(absmax),
      (code, index) => Math.fround(values[code]! * factors[Math.floor(index / size)]!) + offset,
    );
  };
}

function stateOf(info: RawTensorInfo, read: ReadTensor): State {
  const where = placeOf({ file: info.file, tensor: info.name });
  const state = parsePlainJson(decodeUtf8(read(info), info.file, info.offset), where) as State | null;
  const wholes = [state?.blocksize, ...(Array.isArray(state?.shape) ? state.shape : [])];
  if (wholes.length === 3 && wholes.every((n) => Number.isSafeInteger(n) && n! > 0)) return state!;
  throw badInput(
    "quantized-tensor",
    "quant_state must name a block size and a shape of two dimensions",
    where,
    "fetch the checkpoint again, or save it again with bitsandbytes",
  );
}
