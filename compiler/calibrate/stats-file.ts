import { GsicError } from "../errors.js";
import type { CalibrationOrigin, InputStats, ValueId } from "../ir.js";
import { readTensors } from "../read/safetensors-write.js";

/**
 * Statistics of a model's linear inputs, as `gsic calibrate` and examples/pytorch/collect_stats.py write them:
 * safetensors with, for every input, `<input>.count` (I64 [1]), `<input>.mean` (F32 [d]),
 * `<input>.mean_squared_norm` (F64 [1]), and `<input>.second_moment` (F32 [d, d]) or, for wide inputs,
 * `<input>.sketch.omega` and `<input>.sketch.product` (F32 [d, l]). Metadata: `model` (fingerprint), `origin` (JSON),
 * `tokens`.
 */
export interface StatsFile {
  readonly file: string;
  readonly model: string;
  readonly origin: CalibrationOrigin;
  readonly tokens: number;
  /** Statistics of one input. Throws `stats-input-missing` and `stats-invalid` (category data). */
  read(input: ValueId, d: number): InputStats;
}

/** Opens a file of statistics and checks that it belongs to the model. */
export async function openStats(file: string, fingerprint: string): Promise<StatsFile> {
  const { tensors, metadata } = await readTensors(file);
  const invalid = (message: string, hint: string, code = "stats-invalid") =>
    new GsicError({ category: "data", code, message, where: file, hint });
  const model = metadata.get("model") ?? "";
  if (model !== "" && model !== fingerprint) {
    throw invalid(
      "these statistics belong to another model",
      "collect them again: gsic calibrate",
      "stats-other-model",
    );
  }
  const data = (name: string) => tensors.get(name)?.data;
  return {
    file,
    model,
    origin: originOf(metadata.get("origin"), file),
    tokens: Number(metadata.get("tokens") ?? 0),
    read: (input, d) => {
      const count = Number(data(`${input}.count`)?.[0] ?? 0);
      if (count === 0) {
        throw invalid(
          `there are no statistics of ${input}`,
          "collect them again: gsic calibrate",
          "stats-input-missing",
        );
      }
      const secondMoment = readSecondMoment(tensors, input, d);
      const mean = data(`${input}.mean`);
      if (secondMoment === null || !(mean instanceof Float32Array) || mean.length !== d) {
        throw invalid(
          `the statistics of ${input} are not those of ${d} channels`,
          "collect them again: gsic calibrate",
        );
      }
      const meanSquaredNorm = Number(data(`${input}.mean_squared_norm`)?.[0]);
      if (!(meanSquaredNorm > 0) || !mean.every(Number.isFinite)) {
        throw invalid(`the statistics of ${input} are zero, or not finite`, "check the weights for NaN");
      }
      return { d, count, mean, meanSquaredNorm, secondMoment };
    },
  };
}

type Tensors = Awaited<ReturnType<typeof readTensors>>["tensors"];

function readSecondMoment(tensors: Tensors, input: ValueId, d: number): InputStats["secondMoment"] | null {
  const f32 = (name: string, rows: number, columns?: number) => {
    const tensor = tensors.get(name);
    const fits =
      tensor?.shape.length === 2 &&
      tensor.shape[0] === rows &&
      (columns ?? tensor.shape[1]) === tensor.shape[1];
    return fits && tensor.data instanceof Float32Array
      ? { data: tensor.data, width: tensor.shape[1]! }
      : null;
  };
  const exact = f32(`${input}.second_moment`, d, d);
  if (exact !== null) return { kind: "exact", matrix: exact.data };
  const omega = f32(`${input}.sketch.omega`, d);
  const product = omega && f32(`${input}.sketch.product`, d, omega.width);
  if (omega === null || product === null) return null;
  return { kind: "sketch", width: omega.width, omega: omega.data, product: product.data };
}

function originOf(text: string | undefined, file: string): CalibrationOrigin {
  if (text === undefined) return { kind: "file", file };
  try {
    return JSON.parse(text) as CalibrationOrigin;
  } catch {
    return { kind: "file", file };
  }
}
