import { createHash, type Hash } from "node:crypto";
import { resolve } from "node:path";
import { badInput, type OpenFile, readAt, refuseImpostor, withFile } from "./file.js";
import { type AttributeMessage, decodeOnnx, type OnnxMessages } from "./onnx-schema.js";
import { type OnnxElement, type OnnxTensor, tensorOf } from "./onnx-tensor.js";
import { type WireField, WireReader } from "./onnx-wire.js";

/** A value of a node's attribute. `graph`: a graph within the node, which is not read. */
type OnnxAttribute = number | string | readonly number[] | readonly string[] | OnnxTensor | "graph";

/** One operation of a graph; an empty name among its inputs and outputs stands for none. */
export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

/** An input or output of a graph: sizes are numbers, names of sizes, or unknown (an empty name). */
export interface OnnxPort {
  readonly name: string;
  /** The element type's number in onnx.proto. */
  readonly typeNumber: number;
  readonly shape: readonly (number | string)[];
}

/** A model as an .onnx file says it; elements of large tensors stay where they are. */
export interface OnnxFile {
  readonly file: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  readonly inputs: readonly OnnxPort[];
  readonly outputs: readonly OnnxPort[];
  /** The version of ONNX's own operators. */
  readonly opset: number;
  /** SHA-256 of all of the file but the elements of its initializers. */
  readonly identity: Uint8Array;
}

/** Most bytes of a message that is decoded whole, and of all nodes together. */
const [maxMessage, maxNodeBytes] = [64 << 20, 256 << 20];
/** Most nodes and initializers. */
const maxEntries = 1_000_000;
/** Fields of ModelProto and GraphProto. */
const modelFields = { opsetImport: 8, graph: 7 } as const;
const graphFields = { node: 1, initializer: 5, input: 11, output: 12, sparseInitializer: 15 } as const;
/** Fields of TensorProto with elements as they are in memory, and their type; null: any. */
const payloadFields: Readonly<Record<number, OnnxElement | null>> = { 4: "f32", 9: null, 10: "f64" };

/**
 * Reads the graph of an .onnx file and finds the elements of its tensors, in it or in the files beside it. Throws
 * `onnx-...`, `size-...` and `file-...` errors.
 */
export function readOnnx(path: string): OnnxFile {
  const file = resolve(path);
  return withFile(file, (opened) => {
    if (opened.size === 0)
      throw badInput("file-empty", "the file is empty", file, "the download did not finish; fetch it again");
    refuseImpostor(file, readAt(opened, 0, Math.min(opened.size, 512)));
    return new Reader(opened).model();
  });
}

class Reader {
  private readonly wire: WireReader;
  private readonly hash: Hash = createHash("sha256");
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers = new Map<string, OnnxTensor>();
  private readonly inputs: OnnxPort[] = [];
  private readonly outputs: OnnxPort[] = [];
  private nodeBytes = 0;

  constructor(private readonly opened: OpenFile) {
    this.wire = new WireReader(opened);
  }

  model(): OnnxFile {
    const opsets = new Map<string, number>();
    let graphs = 0;
    for (const field of this.wire.fields(0, this.opened.size)) {
      if (field.number === modelFields.graph && field.wire === 2) {
        graphs++;
        this.graph(field);
      } else if (field.number === modelFields.opsetImport && field.wire === 2) {
        const { domain, version } = this.decode("OperatorSetIdProto", field);
        opsets.set(domain === "ai.onnx" ? "" : domain, version);
      }
    }
    const { file } = this.opened;
    if (graphs !== 1 || this.outputs.length === 0)
      throw this.wire.malformed(0, graphs === 1 ? "its graph has no output" : `it holds ${graphs} graphs`);
    const { nodes, initializers, inputs, outputs } = this;
    const identity = this.hash.digest();
    return { file, nodes, initializers, inputs, outputs, opset: opsets.get("") ?? 0, identity };
  }

  private graph(graph: WireField): void {
    for (const field of this.wire.fields(graph.begin, graph.end)) {
      if (field.wire !== 2) continue;
      if (this.nodes.length + this.initializers.size > maxEntries)
        throw this.wire.malformed(field.begin, `more than ${maxEntries} nodes and initializers`);
      switch (field.number) {
        case graphFields.node:
          this.nodeBytes += field.end - field.begin;
          if (this.nodeBytes > maxNodeBytes)
            throw this.wire.malformed(field.begin, `its nodes take more than ${maxNodeBytes} bytes`);
          this.nodes.push(this.node(this.decode("NodeProto", field)));
          break;
        case graphFields.initializer:
          this.initializer(field);
          break;
        case graphFields.input:
          this.inputs.push(portOf(this.decode("ValueInfoProto", field)));
          break;
        case graphFields.output:
          this.outputs.push(portOf(this.decode("ValueInfoProto", field)));
          break;
        case graphFields.sparseInitializer: {
          const hint = "export the model with dense weights";
          throw badInput(
            "onnx-sparse",
            "a sparse initializer",
            `${this.opened.file}: byte ${field.begin}`,
            hint,
          );
        }
        default:
      }
    }
  }

  private node({ name, opType, domain, input, output, attribute }: OnnxMessages["NodeProto"]): OnnxNode {
    const attributes = attribute.map((one) => [one.name, this.attribute(one)] as const);
    const own = domain === "ai.onnx" ? "" : domain;
    return { name, opType, domain: own, inputs: input, outputs: output, attributes: new Map(attributes) };
  }

  private attribute({ type, f, i, s, t, floats, ints, strings }: AttributeMessage): OnnxAttribute {
    switch (type) {
      case 1:
        return f;
      case 2:
        return i;
      case 3:
        return textOf(s);
      case 4:
        return t === null ? "graph" : tensorOf(t, this.opened.file, null);
      case 6:
        return floats;
      case 7:
        return ints;
      case 8:
        return strings.map(textOf);
      default:
        return "graph";
    }
  }

  /** Decodes an initializer without the bytes of its elements, which stay in the file. */
  private initializer(field: WireField): void {
    let payload: (WireField & { readonly element: OnnxElement | null }) | null = null;
    for (const part of this.wire.fields(field.begin, field.end))
      if (part.wire === 2 && part.number in payloadFields && part.end > part.begin) {
        if (payload !== null) throw this.wire.malformed(part.begin, "a tensor's elements stand twice");
        payload = { ...part, element: payloadFields[part.number]! };
      }
    const parts =
      payload === null
        ? [field]
        : [
            { begin: field.begin, end: payload.start },
            { begin: payload.end, end: field.end },
          ];
    const tensor = tensorOf(this.decode("TensorProto", ...parts), this.opened.file, payload);
    if (tensor.name === "") throw this.wire.malformed(field.begin, "an initializer has no name");
    if (this.initializers.has(tensor.name))
      throw this.wire.malformed(field.begin, `the initializer ${JSON.stringify(tensor.name)} stands twice`);
    this.initializers.set(tensor.name, tensor);
  }

  /** Decodes a message that lies in these parts of the file. */
  private decode<Name extends keyof OnnxMessages>(
    name: Name,
    ...parts: readonly Pick<WireField, "begin" | "end">[]
  ): OnnxMessages[Name] {
    const begin = parts[0]!.begin;
    const size = parts.reduce((sum, part) => sum + part.end - part.begin, 0);
    if (size > maxMessage) throw this.wire.malformed(begin, `a ${name} takes ${size} bytes`);
    const bytes = Buffer.concat(parts.map((part) => this.wire.bytes(part)));
    this.hash.update(`${name} ${size}\n`).update(bytes);
    try {
      return decodeOnnx(name, bytes);
    } catch (error) {
      throw this.wire.malformed(begin, `a ${name} cannot be decoded: ${(error as Error).message}`);
    }
  }
}

function portOf({ name, type }: OnnxMessages["ValueInfoProto"]): OnnxPort {
  const tensor = type?.tensorType ?? null;
  const dims = tensor?.shape?.dim ?? [];
  const shape = dims.map(({ dimValue, dimParam }) => (dimParam === "" && dimValue > 0 ? dimValue : dimParam));
  return { name, typeNumber: tensor?.elemType ?? 0, shape };
}

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");
