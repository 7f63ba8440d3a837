import type { Node, NormNode, RopeNode, RopeScaling, ValueId } from "../ir/graph.js";
import type { ByteAccount, ErrorGate, Form, SubspaceGate, Tier } from "../ir/plan.js";
import { Call, type Field, type Fields, type Scope, unknownFunction } from "./parse-fields.js";
import { type Expression, graphError } from "./parse-syntax.js";
import type { vocabulary } from "./print-names.js";

/** What the file says of one linear, and where it says its form. */
export interface Decision {
  readonly form: Form;
  readonly place: string;
  /** Null where it is left out. */
  readonly bytes: ByteAccount | null;
  readonly verdict: string | null;
}

/** Where operators find values, and leave what was decided for linears. */
export interface Operands extends Scope {
  readonly decisions: Map<ValueId, Decision>;
}

type CallExpression = Expression & { readonly kind: "call" };

/** Makes the node of a call; `name` is the constant that holds it, and its id unless another is given. */
type Operator = (operands: Operands, call: CallExpression, name: string) => Node;

const operators: Readonly<Partial<Record<(typeof vocabulary)[number], Operator>>> = {
  embedding: (operands, value, name) => {
    const call = new Call(operands, value, ["index", "table"], 1);
    const options = call.options(["id", "offset", "scale"]);
    const id = options.optional("id", text, name);
    const index = call.argument("index").choice(["token", "position"]);
    const offset = options.optional("offset", (field) => field.integer(0), 0);
    const scale = options.optional("scale", (field) => field.number(), 1);
    return { kind: "embedding", id, index, table: call.argument("table").matrix(), offset, scale };
  },
  layerNorm: (operands, value, name) => norm(operands, value, name, "layer"),
  rmsNorm: (operands, value, name) => norm(operands, value, name, "rms"),
  linear: (operands, value, name) => {
    const call = new Call(operands, value, ["input", "form"], 1);
    const options = call.options(["id", "weight", "bias", "bytes", "verdict"]);
    const id = options.optional("id", text, name);
    const input = call.argument("input").id();
    const weight = options.get("weight").matrix();
    const placed = call.argument("form");
    operands.decisions.set(id, {
      form: formOf(placed, weight.d),
      place: placed.place,
      bytes: options.optional("bytes", bytesOf, null),
      verdict: options.optional("verdict", text, null),
    });
    return {
      kind: "linear",
      id,
      input,
      weight,
      bias: options.optional("bias", (field) => field.vector(), null),
    };
  },
  rope,
  attention: (operands, value, name) => {
    const call = new Call(operands, value, ["query", "key", "value"], 1);
    const options = call.options(["id", "heads", "kvHeads", "headDim", "scale", "window"]);
    const [query, key] = [call.argument("query").id(), call.argument("key").id()];
    const heads = options.get("heads").integer();
    const headDim = options.get("headDim").integer();
    return {
      kind: "attention",
      id: options.optional("id", text, name),
      query,
      key,
      value: call.argument("value").id(),
      heads,
      kvHeads: options.optional("kvHeads", (field) => field.integer(), heads),
      headDim,
      scale: options.optional("scale", (field) => field.number(), 1 / Math.sqrt(headDim)),
      window: options.optional("window", (field) => field.integer(), null),
    };
  },
  activation: (operands, value, name) => {
    const call = new Call(operands, value, ["input", "name"], 1);
    const id = call.options(["id"]).optional("id", text, name);
    const chosen = call.argument("name").choice(["gelu", "gelu_tanh", "silu", "relu"]);
    return { kind: "activation", id, input: call.argument("input").id(), function: chosen };
  },
  add: (operands, value, name) => binary(operands, value, name, "add"),
  multiply: (operands, value, name) => binary(operands, value, name, "multiply"),
};

/** The operator that is called; undefined where the call makes a part of one, such as a matrix. */
export function operatorOf(call: CallExpression): Operator | undefined {
  if (Object.hasOwn(operators, call.function)) return operators[call.function as keyof typeof operators];
  const parts = ["gated", "gatedTiered", "matrix", "tiered", "vector"];
  if (parts.includes(call.function)) return undefined;
  const known = [...Object.keys(operators), ...parts];
  throw unknownFunction(call, known, `gsic/graph has: ${known.join(", ")}`);
}

function norm(operands: Operands, value: CallExpression, name: string, method: NormNode["method"]): Node {
  const call = new Call(operands, value, ["input"], 1);
  const options = call.options(["id", "heads", "gain", "bias", "epsilon"]);
  return {
    kind: "norm",
    id: options.optional("id", text, name),
    input: call.argument("input").id(),
    method,
    heads: options.optional("heads", (field) => field.integer(), 1),
    gain: options.get("gain").vector(),
    bias: options.optional("bias", (field) => field.vector(), null),
    epsilon: options.get("epsilon").number(),
  };
}

function rope(operands: Operands, value: CallExpression, name: string): RopeNode {
  const call = new Call(operands, value, ["input"], 1);
  const options = call.options(["id", "heads", "headDim", "rotaryDim", "pairing", "theta", "scaling"]);
  const headDim = options.get("headDim").integer();
  return {
    kind: "rope",
    id: options.optional("id", text, name),
    input: call.argument("input").id(),
    heads: options.get("heads").integer(),
    headDim,
    rotaryDim: options.optional("rotaryDim", (field) => field.integer(), headDim),
    pairing: options.get("pairing").choice(["half", "adjacent"]),
    theta: options.get("theta").number(),
    scaling: options.optional("scaling", scaling, { kind: "none" } as const),
  };
}

function scaling(field: Field): RopeScaling {
  const factors = ["factor", "lowFrequencyFactor", "highFrequencyFactor", "originalContext"];
  const kind = field
    .fields(["kind", "divisors", "attentionFactor", ...factors])
    .get("kind")
    .choice(["none", "linear", "divisors", "longrope", "llama3"]);
  switch (kind) {
    case "none":
      field.fields(["kind"]);
      return { kind };
    case "linear":
      return { kind, factor: field.fields(["kind", "factor"]).get("factor").number() };
    case "divisors":
      return { kind, divisors: divisorsOf(field.fields(["kind", "divisors"])) };
    case "longrope": {
      const fields = field.fields(["kind", "attentionFactor", "divisors"]);
      return { kind, divisors: divisorsOf(fields), attentionFactor: fields.get("attentionFactor").number() };
    }
    case "llama3": {
      const fields = field.fields(["kind", ...factors]);
      return {
        kind,
        factor: fields.get("factor").number(),
        lowFrequencyFactor: fields.get("lowFrequencyFactor").number(),
        highFrequencyFactor: fields.get("highFrequencyFactor").number(),
        originalContext: fields.get("originalContext").integer(),
      };
    }
    default:
      return kind satisfies never;
  }
}

function divisorsOf(fields: Fields): number[] {
  const list = fields.get("divisors").list();
  return list.map((divisor) => divisor.number());
}

function binary(operands: Operands, value: CallExpression, name: string, kind: "add" | "multiply"): Node {
  const call = new Call(operands, value, ["left", "right"], 1);
  const id = call.options(["id"]).optional("id", text, name);
  return { kind, id, left: call.argument("left").id(), right: call.argument("right").id() };
}

/** `dense`, `gated(...)`, `tiered(...)` or `gatedTiered(...)`. Throws `graph-*-range`. */
function formOf(field: Field, d: number): Form {
  if (field.isName("dense")) return { kind: "dense" };
  const subspace = ["k", "epsilon"];
  const tier = ["bits", "group", "symmetric", "rank", "exact"];
  switch (field.called) {
    case "tiered":
      return { kind: "tiered", ...tierOf(field.call("tiered", []).options(tier), d) };
    case "gatedTiered": {
      const options = field.call("gatedTiered", []).options([...subspace, ...tier]);
      return { kind: "gated+tiered", ...subspaceOf(options, d), ...tierOf(options, d) };
    }
    default:
      return { kind: "gated", ...subspaceOf(field.call("gated", []).options(subspace), d) };
  }
}

function subspaceOf(options: Fields, d: number): SubspaceGate {
  const [columns, threshold] = [options.get("k"), options.get("epsilon")];
  const k = columns.number();
  if (!Number.isSafeInteger(k) || k < 1 || k >= d) {
    const message = `k = ${k} is not a positive integer below d = ${d}`;
    throw graphError("k-range", message, columns.place, "give a smaller k, or make the linear `dense`");
  }
  const epsilon = threshold.number();
  if (!(epsilon > 0 && epsilon <= 1)) {
    const hint = "epsilon bounds ||residual|| / ||x||: above 0 and at most 1";
    throw graphError("epsilon-range", `epsilon = ${epsilon} is out of range`, threshold.place, hint);
  }
  return { k, epsilon };
}

/** Throws `graph-quantizer-range`, `graph-rank-range` and `graph-threshold-range`. */
function tierOf(options: Fields, d: number): Tier {
  const oneOf = <N extends number>(key: string, choices: readonly N[]): N => {
    const field = options.get(key);
    const value = field.number();
    const known = choices.find((choice) => choice === value);
    if (known !== undefined) return known;
    const hint = `give one of ${choices.join(", ")}`;
    throw graphError("quantizer-range", `${key} = ${value} is not offered`, field.place, hint);
  };
  const quantizer = {
    bits: oneOf("bits", [3, 4, 5, 6, 8]),
    group: oneOf("group", [32, 64, 128]),
    symmetric: options.optional("symmetric", (field) => field.flag(), true),
  };
  const rank = options.optional("rank", (field) => rankOf(field, d), 0);
  return { quantizer, rank, exact: options.optional("exact", errorGate, null) };
}

function rankOf(field: Field, d: number): number {
  const rank = field.number();
  if (Number.isSafeInteger(rank) && rank >= 0 && rank < d && rank % 4 === 0) return rank;
  const message = `rank = ${rank} is not a multiple of 4 from 0 to below d = ${d}`;
  throw graphError("rank-range", message, field.place, "give e.g. 16");
}

function errorGate(field: Field): ErrorGate {
  const fields = field.fields(["projections", "threshold"]);
  const projections = fields.get("projections").integer(1);
  const placed = fields.get("threshold");
  const threshold = placed.number();
  if (threshold > 0) return { projections, threshold };
  const hint = "it bounds ||S x|| / ||x||: above 0";
  throw graphError("threshold-range", `threshold = ${threshold} is out of range`, placed.place, hint);
}

function bytesOf(field: Field): ByteAccount {
  if (field.isLiteral) {
    const dense = field.number();
    return { dense, fast: dense, slow: dense };
  }
  const fields = field.fields(["dense", "fast", "middle", "slow"]);
  const tier = (name: string) => fields.get(name).number();
  const account = { dense: tier("dense"), fast: tier("fast"), slow: tier("slow") };
  const middle = fields.optional("middle", (one) => one.number(), null);
  return middle === null ? account : { ...account, middle };
}

function text(field: Field): string {
  return field.text();
}
