import protobuf from "protobufjs/light.js";

type Fields = Readonly<Record<string, readonly [type: string, id: number]>>;

/** Of onnx.proto what is read and written here: names, types and numbers of fields. Graphs within nodes stay bytes. */
const messages: Readonly<Record<string, Fields>> = {
  ModelProto: {
    irVersion: ["int64", 1],
    opsetImport: ["repeated OperatorSetIdProto", 8],
    producerName: ["string", 2],
    producerVersion: ["string", 3],
    docString: ["string", 6],
    graph: ["GraphProto", 7],
    metadataProps: ["repeated StringStringEntryProto", 14],
  },
  OperatorSetIdProto: { domain: ["string", 1], version: ["int64", 2] },
  StringStringEntryProto: { key: ["string", 1], value: ["string", 2] },
  GraphProto: {
    node: ["repeated NodeProto", 1],
    name: ["string", 2],
    initializer: ["repeated TensorProto", 5],
    input: ["repeated ValueInfoProto", 11],
    output: ["repeated ValueInfoProto", 12],
    valueInfo: ["repeated ValueInfoProto", 13],
  },
  NodeProto: {
    input: ["repeated string", 1],
    output: ["repeated string", 2],
    name: ["string", 3],
    opType: ["string", 4],
    domain: ["string", 7],
    attribute: ["repeated AttributeProto", 5],
    docString: ["string", 6],
  },
  AttributeProto: {
    name: ["string", 1],
    type: ["int32", 20],
    f: ["float", 2],
    i: ["int64", 3],
    s: ["bytes", 4],
    t: ["TensorProto", 5],
    g: ["bytes", 6],
    floats: ["repeated float", 7],
    ints: ["repeated int64", 8],
    strings: ["repeated bytes", 9],
  },
  TensorProto: {
    dims: ["repeated int64", 1],
    dataType: ["int32", 2],
    floatData: ["packed float", 4],
    int32Data: ["packed int32", 5],
    int64Data: ["packed int64", 7],
    name: ["string", 8],
    rawData: ["bytes", 9],
    doubleData: ["packed double", 10],
    uint64Data: ["packed uint64", 11],
    externalData: ["repeated StringStringEntryProto", 13],
    dataLocation: ["int32", 14],
  },
  ValueInfoProto: { name: ["string", 1], type: ["TypeProto", 2] },
  TypeProto: { tensorType: ["TensorTypeProto", 1] },
  TensorTypeProto: { elemType: ["int32", 1], shape: ["TensorShapeProto", 2] },
  TensorShapeProto: { dim: ["repeated DimensionProto", 1] },
  DimensionProto: { dimValue: ["int64", 1], dimParam: ["string", 2] },
};

/** Made when it is first needed: most uses of gsic have nothing to do with ONNX. */
let root: protobuf.Root | undefined;

function messageType(name: string): protobuf.Type {
  root ??= makeRoot();
  return root.lookupType(name);
}

function makeRoot(): protobuf.Root {
  const made = new protobuf.Root();
  for (const [name, fields] of Object.entries(messages)) {
    const type = new protobuf.Type(name);
    for (const [field, [text, id]] of Object.entries(fields)) {
      const [of, rule] = text.split(" ").reverse() as [string, string?];
      const options = rule === "packed" ? { packed: true } : {};
      type.add(new protobuf.Field(field, id, of, rule && "repeated", undefined, options));
    }
    made.add(type);
  }
  return made;
}

/** A model as the bytes of an .onnx file; fields are named as in onnx.proto, in camel case. */
export function encodeOnnxModel(model: object): Uint8Array {
  const type = messageType("ModelProto");
  return type.encode(type.create(model)).finish();
}

/** Messages of onnx.proto that are decoded whole, as `decodeOnnx` gives them. */
export interface OnnxMessages {
  readonly OperatorSetIdProto: { readonly domain: string; readonly version: number };
  readonly StringStringEntryProto: { readonly key: string; readonly value: string };
  readonly NodeProto: {
    readonly name: string;
    readonly opType: string;
    readonly domain: string;
    readonly input: readonly string[];
    readonly output: readonly string[];
    readonly attribute: readonly AttributeMessage[];
  };
  readonly TensorProto: TensorMessage;
  readonly ValueInfoProto: {
    readonly name: string;
    readonly type: {
      readonly tensorType: {
        readonly elemType: number;
        readonly shape: {
          readonly dim: readonly { readonly dimValue: number; readonly dimParam: string }[];
        } | null;
      } | null;
    } | null;
  };
}

/** An AttributeProto: of all these fields the one that `type` names is set. */
export interface AttributeMessage {
  readonly name: string;
  readonly type: number;
  readonly f: number;
  readonly i: number;
  readonly s: Uint8Array;
  readonly t: TensorMessage | null;
  readonly floats: readonly number[];
  readonly ints: readonly number[];
  readonly strings: readonly Uint8Array[];
}

/** A TensorProto: elements stand in `rawData`, in the field of their type, or in another file. */
export interface TensorMessage {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
  readonly floatData: readonly number[];
  readonly int32Data: readonly number[];
  readonly int64Data: readonly number[];
  readonly doubleData: readonly number[];
  readonly uint64Data: readonly number[];
  readonly externalData: readonly { readonly key: string; readonly value: string }[];
  /** 1: in another file. */
  readonly dataLocation: number;
}

/** Decodes a message; fields that it lacks have protobuf's defaults. Throws what protobufjs throws for malformed bytes. */
export function decodeOnnx<Name extends keyof OnnxMessages>(
  name: Name,
  bytes: Uint8Array,
): OnnxMessages[Name] {
  const type = messageType(name);
  return type.toObject(type.decode(bytes), {
    longs: Number,
    defaults: true,
    arrays: true,
  }) as OnnxMessages[Name];
}
