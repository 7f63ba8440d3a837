import type { BiasPart } from "../emit/operands.js";
import type { ValueId } from "../ir/graph.js";
import type { QuantizedSource, WeightSource } from "../ir/steps.js";
import { layouts } from "../layout/devices.js";
import type { MatrixLayout } from "../layout/matrix-layout.js";
import type { QuantizedLinear } from "../layout/quantizer.js";
import { ropeTable } from "../layout/rope.js";
import { packScreen } from "../layout/screen.js";
import { shapeOf } from "../layout/shape.js";
import { strideOf } from "../layout/stride.js";
import { toF16 } from "../read/dequantize.js";
import type { Weights } from "../read/weights.js";
import { biasLength, type PackedWeights } from "../schedule/weights-section.js";

/** Factors that the compiler made, as f32 rows; asked for in the order of the weights section. */
export interface FactorSource {
  /** V^T, [k, d], of the linears that read `input`. */
  basis(input: ValueId, k: number): Promise<Float32Array>;
  /** M = W V, [out, k], in pieces of some rows; all but the last are of whole runs (schedule/weights-section.ts). */
  image(linear: ValueId, k: number): AsyncIterable<Float32Array>;
  /** A matrix at few bits, and A where it has a rank. */
  quantized(source: QuantizedSource): Promise<QuantizedLinear>;
}

/** For dense plans; asking it is a defect. */
export const noFactors: FactorSource = {
  basis: nothing,
  // biome-ignore lint/correctness/useYield: there is nothing to yield
  async *image() {
    await nothing();
  },
  quantized: nothing,
};

function nothing(): Promise<never> {
  return Promise.reject(new Error("a dense plan has no factors"));
}

/** Bytes of stored weights that are packed at a time: what a core's cache holds, both as stored and packed. */
const chunkBytes = 1 << 20;

/** Memory that chunks share. */
interface Buffers {
  readonly stored: Uint8Array;
  readonly packed: Uint8Array;
}

/** Where the weights section can be gone on with: the ends of its items. */
export function itemEnds({ items }: PackedWeights): ReadonlySet<number> {
  return new Set(items.map(({ offset, bytes }) => offset + bytes));
}

/**
 * The weights section from `begin` on, 0 or one of `itemEnds`, piece by piece; memory does not grow with the model.
 * A piece is valid until the next is asked for.
 */
export async function* weightChunks(
  { device, items }: PackedWeights,
  weights: Weights,
  factors: FactorSource,
  context: number,
  begin = 0,
): AsyncGenerator<Uint8Array> {
  const buffers: Buffers = {
    stored: new Uint8Array(2 * chunkBytes),
    packed: new Uint8Array(2 * chunkBytes),
  };
  const made = new MadeAhead(
    items.flatMap(({ content, offset }) =>
      content.kind === "matrix" && "quantizer" in content.source && offset >= begin ? [content.source] : [],
    ),
    factors,
  );
  let position = begin;
  for (const { content, offset, bytes } of items) {
    if (offset < begin) continue;
    if (offset > position) yield new Uint8Array(offset - position);
    switch (content.kind) {
      case "matrix":
        yield* matrixChunks(content.source, layouts[device], weights, made, buffers);
        break;
      case "screen": {
        const { matrix } = content.source;
        yield* packScreen(content.source, (first, rows) => weights.readRows(matrix, first, rows));
        break;
      }
      case "vector": {
        const padded = new Float32Array(strideOf(content.vector.length));
        padded.set(weights.readVector(content.vector));
        yield bytesOf(padded);
        break;
      }
      case "biases":
        yield bytesOf(biasesOf(content.parts, weights));
        break;
      case "rope":
        yield bytesOf(ropeTable(content.rope, context));
        break;
      default:
        content satisfies never;
    }
    position = offset + bytes;
  }
}

/** Factors whose next matrix at few bits is made while the last one is packed. They are asked for in the order of `sources`. */
class MadeAhead implements FactorSource {
  private next = 0;
  private ahead: Promise<QuantizedLinear> | undefined;

  constructor(
    private readonly sources: readonly QuantizedSource[],
    private readonly factors: FactorSource,
  ) {}

  basis(input: ValueId, k: number): Promise<Float32Array> {
    return this.factors.basis(input, k);
  }

  image(linear: ValueId, k: number): AsyncIterable<Float32Array> {
    return this.factors.image(linear, k);
  }

  async quantized(source: QuantizedSource): Promise<QuantizedLinear> {
    const made = await (this.ahead ?? this.factors.quantized(source));
    const following = this.sources[++this.next];
    this.ahead = following && this.factors.quantized(following);
    // Whoever asks for it gets its error; nobody may, where packing ends early.
    this.ahead?.catch(() => {});
    return made;
  }
}

async function* matrixChunks(
  source: WeightSource,
  layout: MatrixLayout,
  weights: Weights,
  factors: FactorSource,
  buffers: Buffers,
): AsyncGenerator<Uint8Array> {
  if ("quantizer" in source) {
    yield* layout.packQuantized(source, await factors.quantized(source));
    return;
  }
  const { out: _, d, ...type } = shapeOf(source);
  const pack = (rows: Uint8Array) => layout.packMatrix(type, d, rows, buffers.packed);
  switch (source.kind) {
    case "stored": {
      const { matrix } = source;
      const run = layout.runRows(type, d);
      const step = run * Math.max(1, Math.floor(chunkBytes / layout.packedBytes(type, run, d)));
      for (let row = 0; row < matrix.out; row += step) {
        const rows = Math.min(step, matrix.out - row);
        yield pack(weights.readStoredRows(matrix, row, rows, buffers.stored));
      }
      if (matrix.ordered) yield bytesOf(weights.orderOf(matrix.tensor)!);
      break;
    }
    case "basis":
      yield pack(bytesOf(toF16(await factors.basis(source.input, source.k))));
      break;
    case "image":
      for await (const rows of factors.image(source.linear, source.k)) yield pack(bytesOf(toF16(rows)));
      break;
    case "stacked":
      for (const part of source.parts) yield* matrixChunks(part, layout, weights, factors, buffers);
      break;
    default:
      source satisfies never;
  }
}

/** Vectors one after another, zeros where there is none. */
function biasesOf(parts: readonly BiasPart[], weights: Weights): Float32Array {
  const all = new Float32Array(strideOf(biasLength(parts)));
  let begin = 0;
  for (const { vector, length } of parts) {
    if (vector !== null) all.set(weights.readVector(vector), begin);
    begin += length;
  }
  return all;
}

function bytesOf(array: Float32Array | Int32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}
