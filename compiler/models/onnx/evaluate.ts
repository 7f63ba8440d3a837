import type { OnnxFile, OnnxNode, OnnxPort } from "../../read/onnx.js";
import { GsicError, messageOf } from "../../support/errors.js";
import { Bases } from "./bases.js";
import { Call, stored, type Trace } from "./call.js";
import { attentionHandlers } from "./ops-attention.js";
import { type Handler, layoutHandlers } from "./ops-layout.js";
import { modelHandlers } from "./ops-model.js";
import { numberHandlers } from "./ops-numbers.js";
import { data, elementsOf, Unmatched, type Value } from "./value.js";

/** A node that was not understood, and why. */
interface Failure {
  readonly node: OnnxNode;
  readonly reason: string;
  /** Of its inputs; null: of one that was not understood either. */
  readonly shapes: readonly (readonly number[] | null)[];
}

const handlers = { ...layoutHandlers, ...numberHandlers, ...modelHandlers, ...attentionHandlers };

/** Domains of operators that are known: ONNX's own, and ONNX Runtime's. */
const domains = ["", "com.microsoft"];

/** Most elements of all values together, and of those that are numbers: bounds for files that were made to take for ever. */
const [maxWork, maxNumbers] = [2 ** 32, 2 ** 27];

/**
 * Computes values of a graph for a short text: what depends on shapes, positions and constants as numbers, the rest as it
 * follows from the model's values. Each value is computed when it is first asked for, and forgotten behind its last use.
 */
export class Evaluator {
  readonly failures: Failure[] = [];
  private readonly values = new Map<string, Value>();
  private readonly makers = new Map<string, OnnxNode>();
  private work = 0;
  private numbersMade = 0;

  /** `numbers` stand for constants of those names; `inputs` are the graph's. */
  constructor(
    private readonly file: OnnxFile,
    private readonly inputs: ReadonlyMap<string, Value>,
    private readonly trace: Trace,
    private readonly numbers: ReadonlyMap<string, number> = new Map(),
  ) {
    for (const node of file.nodes)
      for (const output of node.outputs) {
        if (output === "") continue;
        if (this.makers.has(output) || file.initializers.has(output))
          throw graphError(file, `the value ${JSON.stringify(output)} is computed twice`);
        this.makers.set(output, node);
      }
  }

  /** The value of this name. Throws `onnx-graph` where nothing computes it, or where it depends on itself. */
  value(name: string): Value {
    const open = new Set<OnnxNode>();
    const stack = [name];
    while (stack.length > 0) {
      const wanted = stack.at(-1)!;
      if (this.source(wanted) !== null) {
        stack.pop();
        continue;
      }
      const node = this.makers.get(wanted);
      if (node === undefined)
        throw graphError(
          this.file,
          `nothing computes the value ${JSON.stringify(wanted)}, which a node reads`,
        );
      const missing = node.inputs.filter((input) => input !== "" && this.source(input) === null);
      if (missing.length === 0) {
        open.delete(node);
        this.run(node);
        continue;
      }
      if (open.has(node)) throw graphError(this.file, `the node ${nameOf(node)} depends on what it computes`);
      open.add(node);
      // Not spread: a node may have more inputs than a call takes arguments.
      for (const input of missing) stack.push(input);
    }
    return this.source(name)!;
  }

  /** A value that is known without a node, or was computed. */
  private source(name: string): Value | null {
    const known = this.values.get(name) ?? this.inputs.get(name);
    if (known !== undefined) return known;
    const tensor = this.file.initializers.get(name);
    if (tensor === undefined) return null;
    const number = this.numbers.get(name);
    const value = number === undefined ? stored(tensor) : data(tensor.shape, Float64Array.of(number), true);
    this.values.set(name, value);
    return value;
  }

  private run(node: OnnxNode): void {
    const inputs = node.inputs.map((input) => (input === "" ? null : this.source(input)));
    let outputs: readonly Value[] = [];
    try {
      const handler = this.handlerOf(node);
      if (inputs.every((input) => input?.kind !== "unknown")) {
        const made = handler(new Call(node, inputs, this.trace));
        outputs = Array.isArray(made) ? (made as readonly Value[]) : [made as Value];
      }
    } catch (error) {
      if (error instanceof GsicError) throw error;
      // A node whose inputs do not fit it can fail anywhere in its handler.
      const reason = error instanceof Unmatched ? error.message : `cannot be computed: ${messageOf(error)}`;
      const shapes = inputs.map((input) => (input?.kind === "unknown" ? null : (input?.shape ?? [])));
      this.failures.push({ node, reason, shapes });
    }
    for (const [index, output] of node.outputs.entries()) {
      if (output === "") continue;
      const value = outputs[index] ?? { kind: "unknown", shape: [] };
      this.work += elementsOf(value.shape);
      if (value.kind === "data") this.numbersMade += value.values.length;
      this.values.set(output, value);
    }
    if (this.work > maxWork || this.numbersMade > maxNumbers)
      throw graphError(this.file, "its shapes and masks are too large to be computed");
  }

  private handlerOf({ opType, domain, outputs }: OnnxNode): Handler {
    const number = opType === "Constant" ? this.numbers.get(outputs[0]!) : undefined;
    if (number !== undefined) return () => data([], Float64Array.of(number), true);
    const handler =
      domains.includes(domain) && Object.hasOwn(handlers, opType) ? handlers[opType] : undefined;
    if (handler !== undefined) return handler;
    const of = domain === "" ? "" : `, of the domain ${domain}`;
    throw new Unmatched(`is of an operator that gsic does not have${of}`);
  }
}

/** How many tokens the text has that a graph is read for: enough to see rotations grow with the position. */
const tokensRead = 4;

/** Most tokens of a graph that takes one number of them alone: masks have the square of that. */
const mostTokens = 4096;

/** Reads a graph's values up to `output`, for a text of `tokens` and an empty cache. */
export function evaluatorOf(
  file: OnnxFile,
  windowOf: Trace["windowOf"],
  numbers: ReadonlyMap<string, number> = new Map(),
): { readonly evaluator: Evaluator; readonly trace: Trace } {
  const given = new Map(
    file.inputs.filter(({ name }) => !file.initializers.has(name)).map((port) => [port.name, port]),
  );
  const ids = [...given.values()].find(({ name }) => name === "input_ids") ?? onlyWhole([...given.values()]);
  if (ids === undefined) throw graphError(file, "none of its inputs is called input_ids");
  const size = ids.shape.at(-1);
  const tokens = typeof size === "number" ? size : tokensRead;
  if (tokens < 3 || tokens > mostTokens)
    throw graphError(
      file,
      `it takes texts of ${tokens} tokens alone`,
      "export it for texts of any length (dynamic axes)",
    );
  const trace: Trace = { bases: new Bases(tokens), windowOf, positions: [] };
  const inputs = new Map(
    [...given.values()].map((port) => [port.name, inputOf(file, port, port === ids, tokens)]),
  );
  return { evaluator: new Evaluator(file, inputs, trace, numbers), trace };
}

const wholeTypes = [6, 7];

function onlyWhole(ports: readonly OnnxPort[]): OnnxPort | undefined {
  const whole = ports.filter(
    ({ typeNumber, shape }) => wholeTypes.includes(typeNumber) && shape.length === 2,
  );
  return whole.length === 1 ? whole[0] : undefined;
}

/** The value of an input: ids, positions from 0 on, a mask that hides nothing, or an empty cache. */
function inputOf(
  file: OnnxFile,
  { name, typeNumber, shape }: OnnxPort,
  isIds: boolean,
  tokens: number,
): Value {
  const batch = (size: number | string | undefined) => {
    if (typeof size !== "number" || size === 1) return 1;
    throw graphError(
      file,
      `its input ${JSON.stringify(name)} takes ${size} texts at once`,
      "export it with a batch of 1",
    );
  };
  if (isIds) return { kind: "ids", shape: shape.length === 1 ? [tokens] : [batch(shape[0]), tokens] };
  if (wholeTypes.includes(typeNumber) || typeNumber === 9) {
    const own = shape.length === 0 ? [] : shape.length === 1 ? [tokens] : [batch(shape[0]), tokens];
    const isPositions = /position/.test(name);
    const known = isPositions || /mask/.test(name);
    if (known && shape.length <= 2)
      return data(
        own,
        Float64Array.from({ length: elementsOf(own) }, (_, i) => (isPositions ? i : 1)),
        true,
      );
  }
  if (shape.length === 4 && !wholeTypes.includes(typeNumber)) {
    const [, heads, , width] = shape;
    const size = (given: number | string | undefined) => (typeof given === "number" ? given : 1);
    return data([batch(shape[0]), size(heads), 0, size(width)], new Float64Array(0), false);
  }
  const hint =
    "gsic knows token ids, attention masks, positions and caches [batch, heads, length, channels]; " +
    "export the model with these inputs alone";
  throw graphError(file, `its input ${JSON.stringify(name)} [${shape.join(", ")}] is not known`, hint);
}

/** The error for a graph that is none of a decoder. */
export function graphError(
  { file }: Pick<OnnxFile, "file">,
  message: string,
  hint = "export the model again, with a current version of its exporter",
): GsicError {
  return new GsicError({ category: "data", code: "onnx-graph", message, where: file, hint });
}

/** What a node is called in messages: its name, or its first output where it has none. */
export function nameOf({ name, outputs }: OnnxNode): string {
  return JSON.stringify(name || (outputs[0] ?? ""));
}
