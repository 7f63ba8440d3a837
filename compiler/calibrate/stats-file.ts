import { statSync } from "node:fs";
import type { ValueId } from "../ir/graph.js";
import type { CalibrationOrigin, InputStats } from "../ir/statistics.js";
import { badInput, readAt, withFile } from "../read/file.js";
import { type RawTensorInfo, readSafetensorsHeader } from "../read/safetensors.js";
import { placeOf } from "../read/sizes.js";
import type { GsicError } from "../support/errors.js";
import { isOrigin, momentProblem } from "./stats-check.js";

/** The statistics of one input but for its second moment, of which only the kind is known. */
interface InputSummary extends Omit<InputStats, "secondMoment"> {
  /** Columns of the sketch; null where the second moment is exact. */
  readonly sketch: { readonly width: number; readonly seed: number } | null;
}

/**
 * Statistics of a model's linear inputs, as `gsic calibrate` and examples/pytorch/collect_stats.py write them; the
 * format stands in compiler/calibrate/README.md. Only the header is held in memory: every call reads what it returns.
 */
export interface StatsFile {
  readonly file: string;
  readonly model: string;
  readonly origin: CalibrationOrigin;
  readonly tokens: number;
  /** The inputs that the file has statistics of, and their widths. */
  readonly inputs: ReadonlyMap<ValueId, number>;
  /** Cheap. Throws as `read`. */
  summary(input: ValueId, d: number): InputSummary;
  /** Statistics of one input. Throws `stats-input-missing`, `stats-invalid` and `stats-changed` (category data). */
  read(input: ValueId, d: number): InputStats;
}

/** Opens a file of statistics and checks that it belongs to the model. Throws `stats-other-model`. */
export async function openStats(file: string, fingerprint: string): Promise<StatsFile> {
  const identity = identityOf(file);
  const { tensors, metadata } = readSafetensorsHeader(file);
  const model = metadata.get("model") ?? "";
  if (model !== "" && model !== fingerprint) {
    throw badInput("stats-other-model", "these statistics belong to another model", file, again);
  }
  const tokens = Number(metadata.get("tokens") ?? 0);
  if (!Number.isSafeInteger(tokens) || tokens < 0) {
    const message = `the metadata "tokens" is ${JSON.stringify(metadata.get("tokens"))}, not a number of tokens`;
    throw badInput("stats-invalid", message, `${file}: key "__metadata__"`, again);
  }
  const reader = new Reader(file, identity, tensors);
  const inputs = [...tensors.values()].flatMap(({ name, shape }): [ValueId, number][] =>
    name.endsWith(".mean") && shape.length === 1 ? [[name.slice(0, -".mean".length), shape[0]!]] : [],
  );
  return {
    file,
    model,
    origin: originOf(metadata.get("origin"), file),
    tokens,
    inputs: new Map(inputs),
    summary: (input, d) => reader.summary(input, d),
    read: (input, d) => reader.read(input, d),
  };
}

const again = "collect them again: gsic calibrate";

/** Arrays of the types that a file of statistics has. */
const arrays = { F32: Float32Array, F64: Float64Array, I64: BigInt64Array } as const;

class Reader {
  constructor(
    private readonly file: string,
    private readonly identity: string,
    private readonly tensors: ReadonlyMap<string, RawTensorInfo>,
  ) {}

  summary(input: ValueId, d: number): InputSummary {
    const count = Number(this.data("I64", `${input}.count`, [1])?.[0] ?? 0);
    if (count <= 0)
      throw this.error(`there are no statistics of ${input}`, again, "stats-input-missing", `${input}.count`);
    const sketch = this.sketch(input, d);
    const mean = this.data("F32", `${input}.mean`, [d]);
    if (mean === null || (sketch === null && this.shape(`${input}.second_moment`) !== `${d},${d}`)) {
      const message = `the statistics of ${input} are not those of ${d} channels`;
      throw this.error(
        message,
        again,
        "stats-invalid",
        `${input}.${mean === null ? "mean" : "second_moment"}`,
      );
    }
    const meanSquaredNorm = this.data("F64", `${input}.mean_squared_norm`, [1])?.[0] ?? Number.NaN;
    if (
      !(meanSquaredNorm > 0 && meanSquaredNorm < Number.POSITIVE_INFINITY) ||
      !mean.every(Number.isFinite)
    ) {
      throw this.error(
        `the statistics of ${input} are zero, or not finite`,
        "check the weights for NaN, and collect the statistics again",
        "stats-invalid",
        `${input}.${mean.every(Number.isFinite) ? "mean_squared_norm" : "mean"}`,
      );
    }
    return { d, count, mean, meanSquaredNorm, sketch };
  }

  read(input: ValueId, d: number): InputStats {
    const { sketch, ...rest } = this.summary(input, d);
    const matrix =
      sketch === null
        ? this.data("F32", `${input}.second_moment`, [d, d])
        : this.data("F32", `${input}.sketch.product`, [d, sketch.width]);
    if (matrix === null || !matrix.every(Number.isFinite)) {
      const name = sketch === null ? "second_moment" : "sketch.product";
      const message = `the second moment of ${input} is not F32, or not finite`;
      throw this.error(message, again, "stats-invalid", `${input}.${name}`);
    }
    const problem = sketch === null ? momentProblem(matrix, d, rest.meanSquaredNorm) : null;
    if (problem !== null) {
      const message = `the second moment of ${input} is none: ${problem}`;
      throw this.error(message, again, "stats-invalid", `${input}.second_moment`);
    }
    return {
      ...rest,
      secondMoment:
        sketch === null ? { kind: "exact", matrix } : { kind: "sketch", ...sketch, product: matrix },
    };
  }

  private sketch(input: ValueId, d: number): InputSummary["sketch"] {
    const product = this.tensors.get(`${input}.sketch.product`);
    if (product === undefined) return null;
    const width = product.shape[1] ?? 0;
    const seed = Number(this.data("I64", `${input}.sketch.seed`, [1])?.[0] ?? -1);
    const fits = product.shape.length === 2 && product.shape[0] === d && width >= 1 && width <= d;
    if (fits && Number.isSafeInteger(seed) && seed >= 0) return { width, seed };
    throw this.error(`the sketch of ${input} is not one of ${d} channels with a seed`, again);
  }

  private shape(name: string): string {
    return this.tensors.get(name)?.shape.join() ?? "";
  }

  /** A tensor's data; null where the file has none of that type and shape. */
  private data<T extends keyof typeof arrays>(
    dtype: T,
    name: string,
    shape: readonly number[],
  ): InstanceType<(typeof arrays)[T]> | null {
    const tensor = this.tensors.get(name);
    if (tensor?.dtype !== dtype || this.shape(name) !== shape.join()) return null;
    const bytes = withFile(this.file, (opened) => readAt(opened, tensor.offset, tensor.bytes));
    if (identityOf(this.file) !== this.identity) {
      throw this.error("the statistics changed while they were read", "build again", "stats-changed");
    }
    return new arrays[dtype](bytes.buffer as ArrayBuffer) as InstanceType<(typeof arrays)[T]>;
  }

  private error(message: string, hint: string, code = "stats-invalid", tensor?: string): GsicError {
    return badInput(code, message, placeOf({ file: this.file, ...(tensor && { tensor }) }), hint);
  }
}

/** Tells a file from another one that has taken its name; empty where there is none. */
function identityOf(file: string): string {
  const status = statSync(file, { bigint: true, throwIfNoEntry: false });
  return status === undefined ? "" : `${status.dev} ${status.ino} ${status.size} ${status.mtimeNs}`;
}

function originOf(text: string | undefined, file: string): CalibrationOrigin {
  if (text === undefined) return { kind: "file", file };
  try {
    const origin = JSON.parse(text) as CalibrationOrigin | null;
    return isOrigin(origin) ? origin : { kind: "file", file };
  } catch {
    return { kind: "file", file };
  }
}
