import { freeName } from "../graph-text/print-names.js";
import { kindOf } from "../ir/forms.js";
import type { MatrixRef, Node, ValueId, VectorRef } from "../ir/graph.js";
import type { LinearPlan, Plan } from "../ir/plan.js";
import { inputsOf, valueWidths } from "../ir/walk.js";
import { encodeOnnxModel } from "../read/onnx-schema.js";
import { version } from "../support/version.js";

/** The domain of operators that ONNX does not have. */
const domain = "gsic";

/** Inputs of the whole graph by what embeddings are indexed by; called otherwise where a value has that name. */
const indexNames = { token: "input_ids", position: "position_ids" } as const;
type IndexName = (index: keyof typeof indexNames) => string;

/**
 * A plan as an ONNX model for viewers, such as Netron: all values with their types, all operators with their attributes,
 * no weights. Sums and products are ONNX's own operators; everything else is of the domain `gsic`, which no runtime has:
 * linears are `Dense`, `Gated`, `Tiered` and `GatedTiered`, while `Linear`, which runtime/onnxruntime adds to ONNX
 * Runtime, computes those of a build in a graph that is somebody else's.
 */
export function onnxModel(plan: Plan): Uint8Array {
  const { graph } = plan;
  const widths = valueWidths(graph);
  const value = (id: ValueId) => ({ name: id, type: tensorType("float", ["tokens", widths.get(id)!]) });
  const used = new Set(graph.nodes.flatMap((node) => (node.kind === "embedding" ? [node.index] : [])));
  const indexName: IndexName = (index) => freeName(indexNames[index], new Set(widths.keys()));
  const inner = graph.nodes.filter(({ id }) => id !== graph.output);
  return encodeOnnxModel({
    irVersion: 8,
    producerName: "gsic",
    producerVersion: version,
    docString: "A plan of gsic, without weights.",
    opsetImport: [
      { domain: "", version: 17 },
      { domain, version: 1 },
    ],
    graph: {
      name: graph.name,
      node: graph.nodes.map((node) => nodeProto(node, plan.linears.get(node.id) ?? null, indexName)),
      input: [...used].map((index) => ({ name: indexName(index), type: tensorType("int64", ["tokens"]) })),
      output: [value(graph.output)],
      valueInfo: inner.map(({ id }) => value(id)),
    },
    metadataProps: [
      { key: "family", value: graph.family },
      { key: "context", value: String(graph.context) },
      { key: "vocabulary", value: String(graph.vocabulary) },
    ],
  });
}

type Attributes = Readonly<Record<string, string | number | bigint | readonly number[]>>;

interface Operator {
  readonly opType: string;
  readonly domain?: string;
  readonly attributes?: Attributes;
}

function nodeProto(node: Node, linear: LinearPlan | null, indexName: IndexName): object {
  const { opType, domain: own = domain, attributes = {} } = operatorOf(node, linear);
  return {
    name: node.id,
    opType,
    domain: own,
    input: node.kind === "embedding" ? [indexName(node.index)] : inputsOf(node),
    output: [node.id],
    attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
    docString: linear?.verdict ?? "",
  };
}

function operatorOf(node: Node, linear: LinearPlan | null): Operator {
  switch (node.kind) {
    case "embedding":
      return {
        opType: "Embedding",
        attributes: { ...matrix("table", node.table), offset: BigInt(node.offset), scale: node.scale },
      };
    case "norm": {
      const { method, heads, gain, bias, epsilon } = node;
      const vectors = { ...vector("gain", gain), ...(bias && vector("bias", bias)) };
      const opType = method === "layer" ? "LayerNorm" : "RmsNorm";
      return { opType, attributes: { heads: BigInt(heads), epsilon, ...vectors } };
    }
    case "linear":
      return linearOperator(node.weight, node.bias, linear!);
    case "rope": {
      const { heads, headDim, rotaryDim, pairing, theta, scaling } = node;
      const sizes = { heads: BigInt(heads), head_dim: BigInt(headDim), rotary_dim: BigInt(rotaryDim) };
      return { opType: "Rope", attributes: { ...sizes, pairing, theta, scaling: scaling.kind } };
    }
    case "attention": {
      const { heads, kvHeads, headDim, scale, window } = node;
      const sizes = { heads: BigInt(heads), kv_heads: BigInt(kvHeads), head_dim: BigInt(headDim) };
      const limit = window === null ? {} : { window: BigInt(window) };
      return { opType: "Attention", attributes: { ...sizes, scale, ...limit } };
    }
    case "activation":
      return { opType: "Activation", attributes: { function: node.function } };
    case "add":
      return { opType: "Add", domain: "" };
    case "multiply":
      return { opType: "Mul", domain: "" };
    default:
      return node satisfies never;
  }
}

const linearOperators = {
  dense: "Dense",
  gated: "Gated",
  tiered: "Tiered",
  "gated+tiered": "GatedTiered",
} as const;

function linearOperator(weight: MatrixRef, bias: VectorRef | null, { form, bytes }: LinearPlan): Operator {
  const [subspace, tier] = [form.gate, form.tier];
  return {
    opType: linearOperators[kindOf(form)],
    attributes: {
      ...(subspace && { k: BigInt(subspace.k), epsilon: subspace.epsilon }),
      ...(tier && {
        bits: BigInt(tier.quantizer.bits),
        group: BigInt(tier.quantizer.group),
        symmetric: BigInt(Number(tier.quantizer.symmetric)),
        rank: BigInt(tier.rank),
        ...(tier.exact && {
          exact_projections: BigInt(tier.exact.projections),
          exact_threshold: tier.exact.threshold,
        }),
      }),
      bytes: BigInt(Math.round(bytes.fast)),
      bytes_slow: BigInt(Math.round(bytes.slow)),
      bytes_dense: BigInt(Math.round(bytes.dense)),
      ...matrix("weight", weight),
      ...(bias && vector("bias", bias)),
    },
  };
}

function matrix(name: string, { tensor, dtype, out, d, first, transposed }: MatrixRef): Attributes {
  const place = { [`${name}_first_row`]: BigInt(first), [`${name}_transposed`]: BigInt(Number(transposed)) };
  return { [name]: tensor, [`${name}_type`]: dtype, [`${name}_shape`]: [out, d], ...place };
}

function vector(name: string, { tensor, length, first }: VectorRef): Attributes {
  return { [name]: tensor, [`${name}_range`]: [first, first + length] };
}

// ------------------------------------------------------------------------------------------------ messages

/** Whole numbers are big integers here, so that they are not taken for floating-point numbers. */
function attributeProto(name: string, value: Attributes[string]): object {
  if (typeof value === "string") return { name, type: attributeTypes.string, s: Buffer.from(value) };
  if (typeof value === "number") return { name, type: attributeTypes.float, f: value };
  if (typeof value === "bigint") return { name, type: attributeTypes.int, i: Number(value) };
  return { name, type: attributeTypes.ints, ints: value };
}

const attributeTypes = { float: 1, int: 2, string: 3, ints: 7 } as const;
const elementTypes = { float: 1, int64: 7 } as const;

function tensorType(element: keyof typeof elementTypes, shape: readonly (string | number)[]): object {
  const dim = shape.map((size) => (typeof size === "string" ? { dimParam: size } : { dimValue: size }));
  return { tensorType: { elemType: elementTypes[element], shape: { dim } } };
}
