import type { Algebra } from "../calibrate/algebra.js";
import { isPlain } from "../calibrate/blocks.js";
import type { StatsFile } from "../calibrate/stats-file.js";
import type { Plan } from "../ir/plan.js";
import { readGraph } from "../models/index.js";
import type { Model } from "../models/model.js";
import type { GgufType } from "../read/gguf-types.js";
import {
  bytesOf,
  defaultAlignment,
  encodeField,
  type GgufEntries,
  type GgufTensor,
  readGgufEntries,
  writeGguf,
} from "../read/gguf-write.js";
import { version } from "../support/version.js";
import { graphFields } from "./architectures.js";
import { matrixTensor, type TensorMaker } from "./data.js";
import { fileTensors } from "./model-file.js";
import type { MatrixToExport } from "./tensors.js";
import { type Fields, tokenizerFields } from "./tokenizer-entries.js";
import { plannedType, typeFor } from "./types.js";

/** What is exported, and how. */
export interface GgufExport {
  readonly model: Model;
  /** Says the type of every matrix where `type` does not. */
  readonly plan: Plan;
  /** The type of all matrices; null: as planned. */
  readonly type: GgufType | null;
}

/** A matrix with its type, or a tensor that stays as it is. */
type Typed = { readonly matrix: MatrixToExport; readonly type: GgufType } | { readonly kept: GgufTensor };

/** All tensors of the file, with their types. Throws `export-*` errors. */
export function typedTensors({ model, plan, type }: GgufExport): Typed[] {
  return fileTensors(model).map((tensor): Typed => {
    if ("kept" in tensor) return tensor;
    const chosen = type === null ? plannedType(plan, tensor) : typeFor(type, tensor.parts[0]!.d);
    return { matrix: tensor, type: chosen };
  });
}

/** Whether anything is rounded to blocks, which the statistics of inputs make better. */
export function roundsToBlocks(tensors: readonly Typed[]): boolean {
  return tensors.some(
    (one) => "matrix" in one && !isPlain(one.type) && one.type !== one.matrix.parts[0]!.dtype,
  );
}

/** What was written: bytes of the file's tensors, and of matrices the bits a weight, by type. */
export interface GgufSummary {
  readonly tensors: number;
  readonly bytes: number;
  readonly bits_per_weight: number;
  /** Weights of each type's matrices. */
  readonly types: Readonly<Record<string, number>>;
}

/** Writes the file. `notes` are metadata under `gsic.`. */
export async function writeExport(
  file: string,
  job: GgufExport,
  typed: readonly Typed[],
  rounding: { readonly algebra: Algebra; readonly stats: StatsFile | null },
  notes: Fields,
  progress: (done: number, total: number) => void,
): Promise<GgufSummary> {
  const { model } = job;
  const maker: TensorMaker = { graph: model.graph, weights: model.weights, ...rounding };
  const tensors = typed.map((one) =>
    "matrix" in one ? matrixTensor(maker, one.matrix, one.type) : one.kept,
  );
  const summary = summaryOf(tensors);
  const fields: Fields = {
    ...notes,
    "gsic.version": { type: "string", value: version },
    "gsic.types": { type: "string", value: JSON.stringify(summary.types) },
    "general.quantization_version": { type: "u32", value: 2 },
  };
  const entries = new Map(entriesOf(model));
  // It names one type for the whole file.
  entries.delete("general.file_type");
  for (const [key, field] of Object.entries(fields)) entries.set(key, encodeField(field));
  let done = 0;
  const counted = tensors.map((tensor) => ({
    ...tensor,
    async *data() {
      for await (const part of tensor.data()) {
        yield part;
        done += part.length;
        progress(done, summary.bytes);
      }
    },
  }));
  const alignment = model.weights.metadata?.get("general.alignment") ?? defaultAlignment;
  await writeGguf(file, entries, counted, Number(alignment));
  return summary;
}

/** The metadata of the source: as it is stored in a GGUF file, else made from the graph, the tokenizer and the template. */
function entriesOf({ weights, graph, tokenizer, chat }: Model): GgufEntries {
  if (weights.kind === "gguf") return readGgufEntries(weights.source);
  // What a build holds may be less than the model knows; of an ONNX graph nobody may know that.
  const { context } = weights.kind === "onnx" ? graph : readGraph(weights, graph.name);
  const text: Fields =
    tokenizer === null
      ? { "tokenizer.ggml.model": { type: "string", value: "none" } }
      : tokenizerFields(tokenizer, graph.vocabulary, weights.source);
  const template: Fields =
    chat === null ? {} : { "tokenizer.chat_template": { type: "string", value: chat.template } };
  const fields = { ...graphFields(graph, context, weights.source), ...text, ...template };
  return new Map(Object.entries(fields).map(([key, field]) => [key, encodeField(field)]));
}

function summaryOf(tensors: readonly GgufTensor[]): GgufSummary {
  const types: Record<string, number> = {};
  let [weights, matrixBytes] = [0, 0];
  for (const tensor of tensors) {
    const { type, shape } = tensor;
    if (shape.length < 2) continue;
    const count = shape.reduce((product, length) => product * length, 1);
    types[type] = (types[type] ?? 0) + count;
    weights += count;
    matrixBytes += bytesOf(tensor);
  }
  const bytes = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  return { tensors: tensors.length, bytes, bits_per_weight: (8 * matrixBytes) / weights, types };
}
