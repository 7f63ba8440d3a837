import type { Algebra } from "../calibrate/algebra.js";
import type { StatsFile } from "../calibrate/stats-file.js";
import type { MatrixRef } from "../ir/graph.js";
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
import type { Weights } from "../read/weights.js";
import { version } from "../support/version.js";
import { graphFields } from "./architectures.js";
import { isPlain } from "./blocks.js";
import { matrixTensor, type TensorMaker, vectorTensor } from "./data.js";
import { type MatrixToExport, type TensorToExport, tensorsOf } from "./tensors.js";
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
type Typed =
  | { readonly matrix: MatrixToExport; readonly type: GgufType }
  | { readonly kept: (maker: TensorMaker) => GgufTensor };

/** All tensors of the file, with their types. Throws `export-*` errors. */
export function typedTensors({ model, plan, type }: GgufExport): Typed[] {
  const { weights, graph } = model;
  const tensors = weights.kind === "gguf" ? storedTensors(model) : tensorsOf(graph, weights.source);
  return tensors.map((tensor): Typed => {
    if ("kept" in tensor) return tensor;
    if (tensor.kind === "vector") return { kept: () => vectorTensor(weights, tensor) };
    const first = tensor.parts[0]!;
    const chosen = type === null ? plannedType(plan, tensor.linears, first) : typeFor(type, first.d);
    return { matrix: tensor, type: chosen };
  });
}

/** Of a GGUF file: its matrices that linears or embeddings read, and all the rest as it is stored. */
function storedTensors({ graph, weights }: Model): (TensorToExport | Extract<Typed, { kept: unknown }>)[] {
  return weights.names().map((name) => {
    const { dtype, shape, bytes } = weights.info(name)!;
    const reads = (ref: MatrixRef) => ref.tensor === name;
    const linears = graph.nodes.flatMap((node) =>
      node.kind === "linear" && reads(node.weight) ? [node.id] : [],
    );
    const table = graph.nodes.some((node) => node.kind === "embedding" && reads(node.table));
    const [out, d] = shape as [number, number];
    if (shape.length === 2 && (linears.length > 0 || table)) {
      const whole = { tensor: name, dtype, out, d, transposed: false, first: 0 };
      return { kind: "matrix", name, parts: [whole], linears, paired: null };
    }
    return { kept: () => ({ name, type: dtype, shape, data: () => partsOf(weights, name, bytes) }) };
  });
}

function* partsOf(weights: Weights, name: string, bytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += partBytes)
    yield weights.readBytes(name, at, Math.min(bytes, at + partBytes));
}

const partBytes = 1 << 24;

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
    "matrix" in one ? matrixTensor(maker, one.matrix, one.type) : one.kept(maker),
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
  const { context } = readGraph(weights, graph.name);
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
