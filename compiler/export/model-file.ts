import type { MatrixRef } from "../ir/graph.js";
import type { Model } from "../models/model.js";
import type { FileType } from "../read/gguf-types.js";
import { bytesOf, type GgufTensor } from "../read/gguf-write.js";
import type { Weights } from "../read/weights.js";
import type { ModelFile } from "../search/type-options.js";
import { vectorTensor } from "./data.js";
import { type MatrixToExport, tensorsOf } from "./tensors.js";

/** A tensor of a GGUF file: a matrix, whose type is to be chosen, or one that is written as it is. */
type FileTensor = MatrixToExport | { readonly kept: GgufTensor };

/** All tensors of a model's GGUF file. Throws `export-*` errors where llama.cpp has no such model. */
export function fileTensors({ graph, weights, ...model }: Model): FileTensor[] {
  if (weights.kind === "gguf") return storedTensors({ graph, weights, ...model });
  return tensorsOf(graph, weights.source).map((tensor) =>
    tensor.kind === "vector" ? { kept: vectorTensor(weights, tensor) } : tensor,
  );
}

/** What types are planned for: a model's GGUF file. Throws `export-*` errors. */
export function modelFile(model: Model): ModelFile {
  const tensors = fileTensors(model);
  const kept = tensors.flatMap((one) => ("kept" in one ? [bytesOf(one.kept)] : []));
  return {
    matrices: tensors.flatMap((one) => ("kept" in one ? [] : [one])),
    otherBytes: kept.reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** Of a GGUF file: its matrices that linears or embeddings read, and all the rest as it is stored. */
function storedTensors({ graph, weights }: Model): FileTensor[] {
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
    return { kept: { name, type: dtype as FileType, shape, data: () => partsOf(weights, name, bytes) } };
  });
}

function* partsOf(weights: Weights, name: string, bytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += partBytes)
    yield weights.readBytes(name, at, Math.min(bytes, at + partBytes));
}

const partBytes = 1 << 24;
