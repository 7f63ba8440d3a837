import { attended, scoresOf, seenOf, withScores } from "./attention.js";
import type { Call, numbersOf } from "./call.js";
import { gathered, pickSymbol, sliced, transposed } from "./layout.js";
import type { Handler } from "./ops-layout.js";
import { linearOf } from "./ops-model.js";
import { angleTables, exactRows, rotated } from "./tables.js";
import { data, type Scores, type Symbolic, Unmatched, type Value } from "./value.js";

function symbolOf(value: Value): Symbolic {
  if (value.kind === "symbol") return value;
  throw new Unmatched("needs a value of the model");
}

/** [1, tokens, heads * headDim] as [1, heads, tokens, headDim]; with four dimensions it is that already. */
function inHeads(value: Symbolic, heads: number): Symbolic {
  if (value.shape.length === 4) return value;
  const [batch, tokens, width] = value.shape as [number, number, number];
  if (value.shape.length !== 3 || heads < 1 || width % heads !== 0)
    throw new Unmatched(`divides [${value.shape}] among ${heads} heads`);
  const shape = [batch, tokens, heads, width / heads];
  return pickSymbol({ ...value, shape }, transposed(shape, [0, 2, 1, 3]));
}

/** The other way round: [1, tokens, heads * headDim]. */
function joined(value: Symbolic): Symbolic {
  const turned = pickSymbol(value, transposed(value.shape, [0, 2, 1, 3]));
  const [batch, tokens, heads, width] = turned.shape as [number, number, number, number];
  return { ...turned, shape: [batch, tokens, heads * width] };
}

/** Each head so many times, one after another. */
function repeated(value: Symbolic, times: number): Symbolic {
  const heads = value.shape[1]!;
  const order = Float64Array.from({ length: heads * times }, (_, head) => Math.floor(head / times));
  return pickSymbol(value, gathered(value.shape, 1, data([heads * times], order, true)));
}

interface AttendOptions {
  readonly scale: number;
  /** Whether queries see only themselves and what is before them; `window` so many at most. */
  readonly causal: boolean;
  readonly window: number | null;
  /** An input that is added to the scores, or that is false where they do not count. */
  readonly mask: number | null;
}

/** Attention over heads [1, heads, tokens, headDim]; keys and values may have fewer. */
function attend(
  call: Call,
  query: Symbolic,
  key: Symbolic,
  value: Symbolic,
  options: AttendOptions,
): Symbolic {
  const { bases, windowOf } = call.trace;
  const { tokens } = bases;
  const times = query.shape[1]! / key.shape[1]!;
  const wide = (one: Symbolic) => (times === 1 ? one : repeated(one, times));
  const keys = wide(key);
  const order = keys.shape.map((_, axis) => axis);
  [order[2], order[3]] = [3, 2];
  const plain = scoresOf(query, pickSymbol(keys, transposed(keys.shape, order)));
  const scaled: Scores = { ...plain, scale: options.scale };
  const scores = options.mask === null ? scaled : maskedBy(call, scaled, options.mask);
  const seen = seenOf(scores.mask ?? new Float64Array(tokens ** 2), tokens);
  const first = seen.map((x, place) => Number(x === 1 && place % tokens <= Math.floor(place / tokens)));
  const window = windowOf(scores.masks, options.causal ? first : seen);
  return attended({ ...scores, normal: true }, wide(value), bases, options.window ?? window);
}

function maskedBy(call: Call, scores: Scores, index: number): Scores {
  const mask = call.numbers(index);
  const name = call.node.inputs[index]!;
  if (!mask.whole) return withScores("Add", scores, mask, false, name);
  const hidden = mask.values.map((x) => (x !== 0 ? 0 : Number.NEGATIVE_INFINITY));
  const { masks } = scores;
  const added = withScores("Add", scores, { ...mask, values: hidden }, false, name);
  return { ...added, masks: [...masks, { name, counts: true }] };
}

function refuse(call: Call, what: Readonly<Record<string, number>>): void {
  for (const [attribute, usual] of Object.entries(what))
    if (call.number(attribute, usual) !== usual)
      throw new Unmatched(`has ${attribute} = ${call.number(attribute, usual)}`);
}

/** ONNX Runtime's attention with a cache: query, key and value may be one value, and rotations are within. */
function groupQuery(call: Call): readonly Value[] {
  refuse(call, { softcap: 0, smooth_softmax: 0, kv_cache_bit_width: 0 });
  const [heads, kvHeads] = [call.number("num_heads", 0), call.number("kv_num_heads", 0)];
  const { bases } = call.trace;
  const { tokens } = bases;
  if (call.numbers(6).values[0] !== tokens)
    throw new Unmatched("attends to another number of positions than the text has");
  const input = symbolOf(call.input(0));
  const headDim = input.shape.at(-1)! / (call.has(1) ? heads : heads + 2 * kvHeads);
  const part = (first: number, count: number) =>
    pickSymbol(
      input,
      sliced(input.shape, new Map([[2, { first: first * headDim, count: count * headDim, by: 1 }]])),
    );
  const [query, key, value] = call.has(1)
    ? [input, symbolOf(call.input(1)), symbolOf(call.input(2))]
    : [part(0, heads), part(heads, kvHeads), part(heads + kvHeads, kvHeads)];
  let [queries, keys] = [inHeads(query, heads), inHeads(key, kvHeads)];
  if (call.number("do_rotary", 0) !== 0) {
    const tables = angleTables(call, 7, 8);
    call.trace.positions.push(tables.cos.shape[0]!);
    const rows = exactRows(tables, tokens);
    const adjacent = call.number("rotary_interleaved", 0) !== 0;
    [queries, keys] = [rotated(queries, rows, adjacent, bases), rotated(keys, rows, adjacent, bases)];
  }
  for (const extra of [10, 11, 12, 13])
    if (call.has(extra))
      throw new Unmatched(`has an input ${extra}: a bias of scores, sinks or a quantised cache`);
  const window = call.number("local_window_size", -1);
  const options = {
    scale: scaleOf(call, headDim),
    causal: true,
    window: window < 0 ? null : window,
    mask: null,
  };
  const unknown = { kind: "unknown", shape: [] } as const;
  return [joined(attend(call, queries, keys, inHeads(value, kvHeads), options)), unknown, unknown];
}

const scaleOf = (call: Call, headDim: number) => call.number("scale", 0) || 1 / Math.sqrt(headDim);

/** ONNX Runtime's attention of query, key and value that are three values. */
function multiHead(call: Call): readonly Value[] {
  const heads = call.number("num_heads", 0);
  for (const extra of [3, 4])
    if (call.has(extra)) throw new Unmatched(`has an input ${extra}: a bias, or lengths of texts`);
  const [query, key, value] = [0, 1, 2].map((index) =>
    inHeads(symbolOf(call.input(index)), heads),
  ) as Symbolic[];
  const options = {
    scale: scaleOf(call, query!.shape.at(-1)!),
    causal: call.number("unidirectional", 0) !== 0,
    window: null,
    mask: call.has(5) ? 5 : null,
  };
  const unknown = { kind: "unknown", shape: [] } as const;
  return [joined(attend(call, query!, key!, value!, options)), unknown, unknown];
}

/** ONNX Runtime's attention with the linear before it: [d, 3 d] makes query, key and value. */
function fusedAttention(call: Call): readonly Value[] {
  refuse(call, { do_rotary: 0 });
  for (const extra of [3, 6])
    if (call.has(extra)) throw new Unmatched(`has an input ${extra}: lengths of texts`);
  const [heads, sizes] = [call.number("num_heads", 0), call.node.attributes.get("qkv_hidden_sizes")];
  if (sizes !== undefined) throw new Unmatched("has qkv_hidden_sizes");
  const input = linearOf(call, symbolOf(call.input(0)), 1, 2);
  const width = input.shape.at(-1)! / 3;
  const [query, key, value] = [0, 1, 2].map((part) => {
    const cut = new Map([[2, { first: part * width, count: width, by: 1 }]]);
    return inHeads(pickSymbol(input, sliced(input.shape, cut)), heads);
  }) as [Symbolic, Symbolic, Symbolic];
  const causal = call.number("unidirectional", 0) !== 0;
  const mask = call.has(5) ? 5 : null;
  const options = { scale: scaleOf(call, width / heads), causal, window: null, mask };
  return [joined(attend(call, query, key, value, options)), { kind: "unknown", shape: [] }];
}

/** ONNX's own attention, since version 23, or ONNX Runtime's. */
function attention(call: Call): readonly Value[] {
  if (call.node.domain !== "") return fusedAttention(call);
  refuse(call, { softcap: 0, qk_matmul_output_mode: 0 });
  const isFlat = call.input(0).shape.length === 3;
  const heads = (attribute: string) => call.number(attribute, 1);
  const query = inHeads(symbolOf(call.input(0)), heads("q_num_heads"));
  const [key, value] = [1, 2].map((index) =>
    inHeads(symbolOf(call.input(index)), heads("kv_num_heads")),
  ) as Symbolic[];
  const options = {
    scale: scaleOf(call, query.shape.at(-1)!),
    causal: call.number("is_causal", 0) !== 0,
    window: null,
    mask: call.has(3) ? 3 : null,
  };
  const result = attend(call, query, key!, value!, options);
  const unknown = { kind: "unknown", shape: [] } as const;
  return [isFlat ? joined(result) : result, unknown, unknown, unknown];
}

/** A rotation by tables: ONNX Runtime's, whose second input are positions, or ONNX's own, whose last are. */
function rotaryEmbedding(call: Call): Value {
  refuse(call, { scale: 1, is_packed_batching: 0 });
  const isOwn = call.node.domain === "";
  const [cos, sin, places] = isOwn ? [1, 2, 3] : [2, 3, 1];
  const value = symbolOf(call.input(0));
  const { bases } = call.trace;
  const stored = angleTables(call, cos, sin);
  let tables = { cos: stored.cos, sin: stored.sin };
  const isRows = isOwn && !call.has(places);
  if (isRows) tables = { cos: rowsOf(tables.cos), sin: rowsOf(tables.sin) };
  else {
    const positions = [...call.numbers(places).values];
    const isText = positions.every((place, i) => place === i);
    if (!isText || (positions.length !== 1 && positions.length !== bases.tokens))
      throw new Unmatched("rotates by other positions than those of the text");
    call.trace.positions.push(tables.cos.shape[0]!);
    tables = exactRows(stored, bases.tokens);
  }
  const heads = call.number("num_heads", 0) || value.shape.at(-1)! / (2 * tables.cos.shape.at(-1)!);
  const result = rotated(inHeads(value, heads), tables, call.number("interleaved", 0) !== 0, bases);
  return value.shape.length === 4 ? result : joined(result);
}

/** Angles [1, tokens, pairs], which hold for all heads. */
function rowsOf({ shape, ...rest }: ReturnType<typeof numbersOf>) {
  if (shape.length === 3 && shape[0] !== 1) throw new Unmatched("has angles of several texts");
  return { ...rest, shape: shape.slice(-2) };
}

/** Operators that compute attention, or rotate heads, in one. */
export const attentionHandlers: Readonly<Record<string, Handler>> = {
  GroupQueryAttention: groupQuery,
  MultiHeadAttention: multiHead,
  Attention: attention,
  RotaryEmbedding: rotaryEmbedding,
};
