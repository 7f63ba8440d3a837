import type { Graph, Node } from "../../ir/graph.js";
import { requireFusions } from "../../lower/lower.js";
import type { OnnxFile } from "../../read/onnx.js";
import type { Weights } from "../../read/weights.js";
import { GsicError } from "../../support/errors.js";
import { declarationsOf, declaredContexts, requireAgreement } from "./declared.js";
import { type Evaluator, evaluatorOf, graphError, nameOf } from "./evaluate.js";
import { familyOf, nodesOf } from "./graph.js";
import { withTiedHead } from "./tied.js";
import { type Base, Unmatched, type Value } from "./value.js";
import { windowFinder } from "./windows.js";

/** Nodes that are named where a graph was not understood, and inputs of each whose shapes are. */
const [shownFailures, shownInputs] = [10, 8];

/** Longest text where nothing says how long texts the model knows; builds hold fewer positions unless asked. */
const anyContext = 1 << 24;

/**
 * The graph of a decoder in an .onnx file, matched by what its nodes compute. Throws `onnx-unsupported`, which names the
 * nodes that were not understood, `onnx-graph`, and `onnx-config` where config.json or genai_config.json says something else.
 */
export function onnxGraph(weights: Weights, name: string): Graph {
  const file = weights.onnx!;
  const { evaluator, trace } = evaluatorOf(file, windowFinder(file));
  const port = file.outputs.find((output) => output.name === "logits") ?? file.outputs[0]!;
  const logits = outputBase(file, evaluator, evaluator.value(port.name), trace.bases.tokens, (value) =>
    trace.bases.whole(value),
  );
  const { nodes: stored, output } = asUnsupported(file, () => nodesOf(logits));
  const nodes = withTiedHead(stored, output, weights);
  weights.keep(tensorsOf(nodes));
  const positions = nodes.flatMap((node) =>
    node.kind === "embedding" && node.index === "position" ? [node.table.out - node.offset] : [],
  );
  const declarations = declarationsOf(weights);
  const known = [...positions, ...trace.positions, ...declaredContexts(declarations)];
  const context = known.reduce((least, one) => Math.min(least, one), anyContext);
  const graph = { name, family: familyOf(nodes), vocabulary: logits.width, context, nodes, output };
  requireDecoder(file, graph);
  requireAgreement(declarations, graph, file.file);
  return graph;
}

/** What the graph's output is, where all of it was understood. */
function outputBase(
  file: OnnxFile,
  evaluator: Evaluator,
  value: Value,
  tokens: number,
  whole: (value: Value & { readonly kind: "symbol" }) => Base,
): Base {
  if (evaluator.failures.length > 0 || value.kind === "unknown") throw notUnderstood(file, evaluator);
  if (value.kind !== "symbol" || value.shape.at(-2) !== tokens)
    throw graphError(
      file,
      `its output is no logits of all tokens, but [${value.shape.join(", ")}]`,
      "export the model for text generation, with the logits of all tokens as its first output",
    );
  return asUnsupported(file, () => whole(value));
}

/** The error for nodes that were not understood: each with its operator, the shapes that it reads, and why. */
function notUnderstood(file: OnnxFile, { failures }: Evaluator): GsicError {
  const places = new Map(file.nodes.map((node, place) => [node, place]));
  const sorted = [...failures].sort((a, b) => places.get(a.node)! - places.get(b.node)!);
  const shown = sorted.slice(0, shownFailures).map(({ node, reason, shapes }) => {
    const operator = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
    const inputs = shapes
      .slice(0, shownInputs)
      .map((shape) => (shape === null ? "[?]" : `[${shape.join(", ")}]`))
      .join(" ");
    const rest = shapes.length > shownInputs ? ` and ${shapes.length - shownInputs} more` : "";
    return `${nameOf(node)}, ${operator} of ${inputs || "nothing"}${rest}: it ${reason}`;
  });
  if (failures.length > shown.length) shown.push(`and ${failures.length - shown.length} more`);
  return unsupported(file, `${failures.length} of its nodes were not understood:\n  ${shown.join("\n  ")}`);
}

function unsupported({ file }: OnnxFile, message: string): GsicError {
  return new GsicError({
    category: "data",
    code: "onnx-unsupported",
    message,
    where: file,
    hint:
      "gsic reads decoders like GPT-2 and Llama, of f32, f16 or bf16, as Optimum or torch.onnx.export write them; where " +
      "gsic reads the model itself, name that: a folder with safetensors, or a .gguf file",
  });
}

function asUnsupported<T>(file: OnnxFile, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof Unmatched)
      throw unsupported(file, `its logits were not understood: ${error.message}`);
    // The stack ends where functions of functions are too deep, which a decoder has none of.
    if (error instanceof RangeError)
      throw unsupported(file, `its logits were not understood: it cannot be computed: ${error.message}`);
    throw error;
  }
}

/** Throws unless what was understood is a decoder that gsic has kernels for. */
function requireDecoder(file: OnnxFile, graph: Graph): void {
  const { nodes, output, vocabulary } = graph;
  const last = nodes.find(({ id }) => id === output);
  const table = nodes.find((node) => node.kind === "embedding" && node.index === "token");
  const fits = table?.kind === "embedding" && table.table.out >= vocabulary;
  if (last?.kind !== "linear" || !fits || !nodes.some(({ kind }) => kind === "attention"))
    throw unsupported(file, "it is no decoder: token embeddings, attention, and a linear that makes logits");
  try {
    requireFusions(graph);
  } catch (error) {
    if (!(error instanceof GsicError)) throw error;
    throw unsupported(
      file,
      `its layers are wired as gsic has no kernels for: ${error.message} (${error.where})`,
    );
  }
}

function tensorsOf(nodes: readonly Node[]): ReadonlySet<string> {
  return new Set(
    nodes.flatMap((node) => {
      switch (node.kind) {
        case "embedding":
          return [node.table.tensor];
        case "linear":
          return [node.weight.tensor, ...(node.bias === null ? [] : [node.bias.tensor])];
        case "norm":
          return [node.gain.tensor, ...(node.bias === null ? [] : [node.bias.tensor])];
        default:
          return [];
      }
    }),
  );
}
