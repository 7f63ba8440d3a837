import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onnx } from "onnx-proto";
import { afterAll, describe, expect, test } from "vitest";
import type { Graph, Node } from "../../ir/graph.js";
import { referenceLogits } from "../../oracle/reference.js";
import { readTensors } from "../../read/safetensors-write.js";
import { Weights } from "../../read/weights.js";
import { fixtureSource, fixturesFolder } from "../../testing/fixtures.js";
import { readGraph } from "../index.js";

const work = mkdtempSync(join(tmpdir(), "gsic-onnx-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

async function graphOf(source: string): Promise<Graph> {
  const weights = await Weights.open(source);
  try {
    return readGraph(weights, "model");
  } finally {
    weights.close();
  }
}

const ofKind = <Kind extends Node["kind"]>({ nodes }: Graph, kind: Kind) =>
  nodes.filter((node): node is Node & { readonly kind: Kind } => node.kind === kind);

/** A graph as its family wires it, but for what only files say: names of tensors, types, and how matrices lie. */
function wiring({ nodes }: Graph): readonly unknown[] {
  return [...nodes]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((node) => {
      switch (node.kind) {
        case "embedding":
          return { ...node, table: [node.table.out, node.table.d] };
        case "linear":
          return { ...node, weight: [node.weight.out, node.weight.d], bias: node.bias?.length ?? null };
        case "norm":
          return { ...node, gain: node.gain.length, bias: node.bias?.length ?? null };
        default:
          return node;
      }
    });
}

/** Exported fixtures and those that they are exports of. */
const exported = [
  ["gpt2-onnx-optimum", "gpt2-f32"],
  ["gpt2-onnx-dynamo", "gpt2-f16"],
  ["llama-onnx-optimum", "llama-rope-theta"],
  ["llama-onnx-dynamo", "llama-head-dim"],
  ["qwen2-onnx-optimum", "qwen2-f32"],
  ["qwen3-onnx-dynamo", "qwen3-f32"],
  ["mistral-onnx-dynamo", "mistral-window"],
  ["gemma3-onnx-dynamo", "gemma3-f32"],
  ["gptj-onnx-dynamo", "gptj-f32"],
  ["llama-onnx-genai", "llama-f16"],
] as const;

describe("a graph that an exporter wrote is the family's own", () => {
  test.each(exported)("%s", async (name, original) => {
    const [found, expected] = [await graphOf(fixtureSource(name)), await graphOf(fixtureSource(original))];
    expect(wiring(found)).toEqual(wiring(expected));
    expect(found.family).toBe(expected.family);
  });

  test("llama-onnx-script: Llama 3's scaling of frequencies, as divisors", async () => {
    const [found, expected] = [
      await graphOf(fixtureSource("llama-onnx-script")),
      await graphOf(fixtureSource("llama-llama3-rope")),
    ];
    const plain = (graph: Graph) =>
      (wiring(graph) as Node[]).map((node) =>
        node.kind === "rope" ? { ...node, theta: 0, scaling: null } : node,
      );
    expect(plain(found)).toEqual(plain(expected));
    expect(ofKind(found, "rope").every(({ scaling }) => scaling.kind === "divisors")).toBe(true);
  });
});

test("the most likely tokens are those of transformers", async () => {
  for (const name of [...exported.map(([one]) => one), "llama-onnx-script"]) {
    const weights = await Weights.open(fixtureSource(name));
    const { tensors } = await readTensors(join(fixturesFolder, name, "expected.safetensors"));
    const ids = Array.from(tensors.get("ids")!.data as Int32Array);
    const graph = readGraph(weights, name);
    const best = (logits: Float64Array | Float32Array) =>
      ids.map((_, token) => {
        const row = Array.from(logits.subarray(token * graph.vocabulary, (token + 1) * graph.vocabulary));
        return row.indexOf(Math.max(...row));
      });
    const expected = best(tensors.get("logits")!.data as Float32Array);
    expect(best(referenceLogits(graph, weights, ids)), name).toEqual(expected);
    weights.close();
  }
});

test("a head that is stored once more is the token embedding, where it is the same numbers", async () => {
  const tied = async (name: string) => {
    const graph = await graphOf(fixtureSource(name));
    const tokens = ofKind(graph, "embedding")[0]!;
    return ofKind(graph, "linear").at(-1)!.weight.tensor === tokens.table.tensor;
  };
  expect(await tied("gpt2-onnx-dynamo")).toBe(true);
  expect(await tied("qwen2-onnx-optimum")).toBe(false);
});

/** A copy of an exported model whose graph was changed, in a folder of its own. */
function changed(
  change: (graph: onnx.IGraphProto) => void,
  files: Readonly<Record<string, string>> = {},
): string {
  const folder = mkdtempSync(join(work, "model-"));
  const model = onnx.ModelProto.decode(readFileSync(fixtureSource("gpt2-onnx-optimum")));
  change(model.graph!);
  writeFileSync(join(folder, "model.onnx"), onnx.ModelProto.encode(model).finish());
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

const find = (graph: onnx.IGraphProto, type: string) => graph.node!.find(({ opType }) => opType === type)!;

/** Takes the causal mask out of a table [positions, positions] of truth values, as older exports of GPT-2 do. */
function withTable(graph: onnx.IGraphProto, sees: (query: number, key: number) => boolean): void {
  const size = 48;
  const table = Uint8Array.from({ length: size ** 2 }, (_, place) =>
    Number(sees(Math.floor(place / size), place % size)),
  );
  const ints = (name: string, values: readonly number[]) => ({
    name,
    dims: [2],
    dataType: 7,
    int64Data: [...values],
  });
  graph.initializer!.push({ name: "table", dims: [1, 1, size, size], dataType: 9, rawData: table });
  graph.initializer!.push(ints("starts", [0, 0]), ints("ends", [4, 4]), ints("axes", [2, 3]));
  const mask = find(graph, "LessOrEqual");
  mask.opType = "Slice";
  mask.input = ["table", "starts", "ends", "axes"];
}

test("a window that only the end of a table of masks shows", async () => {
  const window = async (sees: (query: number, key: number) => boolean) =>
    new Set(
      ofKind(await graphOf(changed((graph) => withTable(graph, sees))), "attention").map(
        (node) => node.window,
      ),
    );
  expect(await window((query, key) => key <= query)).toEqual(new Set([null]));
  expect(await window((query, key) => key <= query && key > query - 9)).toEqual(new Set([9]));
  await expect(window((query, key) => key <= query && key !== 17)).rejects.toMatchObject({
    code: "onnx-unsupported",
    message: expect.stringMatching(/a table of masks \[1,1,48,48\] that hides more than later positions/),
  });
});

/** Puts nodes of one operator before the output, each of which reads the one before so many times. */
function withChain(graph: onnx.IGraphProto, opType: string, reads: number, count: number): void {
  const last = graph.node!.at(-1)!;
  const output = last.output![0]!;
  last.output![0] = "link0";
  for (let index = 0; index < count; index++)
    graph.node!.push({
      name: `chain${index}`,
      opType,
      input: new Array<string>(reads).fill(`link${index}`),
      output: [index === count - 1 ? output : `link${index + 1}`],
    });
}

describe("graphs that are refused", () => {
  test.each<[string, string, RegExp, (graph: onnx.IGraphProto) => void]>([
    [
      "operators that gsic does not have, each by its name, its operator and what it reads",
      "onnx-unsupported",
      /^2 of its nodes were not understood:\n {2}"[^"]+", Softplus of \[1, 3, 4, 4\]: it is of an operator that gsic does not have\n {2}"[^"]+", Einsum of \[\?\] \[30\] \[30\]/,
      (graph) => {
        find(graph, "Softmax").opType = "Softplus";
        graph.node!.filter(({ opType }) => opType === "LayerNormalization").at(-1)!.opType = "Einsum";
      },
    ],
    [
      "more such than are shown",
      "onnx-unsupported",
      /^11 of its nodes were not understood:[\s\S]*\n {2}and 1 more$/,
      (graph) => {
        graph.node!.find(({ opType }) => opType === "LayerNormalization")!.input![0] = "x10";
        for (let index = 0; index < 11; index++)
          graph.node!.push({ name: `n${index}`, opType: "Odd", input: [], output: [`x${index}`] });
        for (let index = 0; index < 10; index++)
          graph.node!.find(({ output }) => output![0] === "x10")!.input!.push(`x${index}`);
      },
    ],
    [
      "an activation function that gsic does not have",
      "onnx-unsupported",
      /activation function that gsic does not have: f\(-2\)/,
      (graph) => {
        find(graph, "Tanh").opType = "Sigmoid";
      },
    ],
    [
      "a cycle",
      "onnx-graph",
      /depends on what it computes/,
      (graph) => {
        const norm = find(graph, "LayerNormalization");
        const last = graph.node!.filter(({ opType }) => opType === "LayerNormalization").at(-1)!;
        norm.input![0] = last.output![0]!;
      },
    ],
    [
      "a value that nothing computes",
      "onnx-graph",
      /nothing computes the value "nowhere"/,
      (graph) => {
        find(graph, "Softmax").input![0] = "nowhere";
      },
    ],
    [
      "a value that is computed twice",
      "onnx-graph",
      /is computed twice/,
      (graph) => {
        graph.node!.push(graph.node![0]!);
      },
    ],
    [
      "a matrix of another shape",
      "onnx-unsupported",
      /multiplies 30 channels by a matrix/,
      (graph) => {
        const weight = graph.initializer!.find(({ name }) => name!.endsWith("mlp.c_fc.weight"))!;
        weight.dims!.reverse();
      },
    ],
    [
      "an input that gsic does not know",
      "onnx-graph",
      /its input "input_ids" \[batch_size, sequence_length, 3\] is not known|none of its inputs/,
      (graph) => {
        graph.input!.find(({ name }) => name === "input_ids")!.name = "pixels";
        graph.node!.find(({ input }) => input!.includes("input_ids"))!.input = [
          "transformer.wte.weight",
          "pixels",
        ];
      },
    ],
    [
      "several texts at once",
      "onnx-graph",
      /takes 2 texts at once/,
      (graph) => {
        const ids = graph.input!.find(({ name }) => name === "input_ids")!;
        ids.type!.tensorType!.shape!.dim![0] = { dimValue: 2 };
      },
    ],
    [
      "text of one token alone",
      "onnx-graph",
      /takes texts of 1 tokens alone/,
      (graph) => {
        const ids = graph.input!.find(({ name }) => name === "input_ids")!;
        ids.type!.tensorType!.shape!.dim![1] = { dimValue: 1 };
      },
    ],
    [
      "text of more tokens than can be computed",
      "onnx-graph",
      /takes texts of 1073741824 tokens alone/,
      (graph) => {
        const ids = graph.input!.find(({ name }) => name === "input_ids")!;
        ids.type!.tensorType!.shape!.dim![1] = { dimValue: 2 ** 30 };
      },
    ],
    [
      "functions that are made of another twice, sixty times",
      "onnx-unsupported",
      /activation function that gsic does not have: f\(-2\)/,
      (graph) => withChain(graph, "Mul", 2, 60),
    ],
    [
      "functions of functions, too many",
      "onnx-unsupported",
      /its logits were not understood: it cannot be computed/,
      (graph) => withChain(graph, "Sigmoid", 1, 20_000),
    ],
    [
      "a value of more inputs than are shown",
      "onnx-unsupported",
      /Odd of (\[[\d, ]+\] ){8}and 2 more: it is of an operator/,
      (graph) => {
        const joined = graph.node!.find(({ opType }) => opType === "LayerNormalization")!;
        graph.node!.push({
          name: "j",
          opType: "Odd",
          input: new Array(10).fill(joined.input![0]),
          output: ["j"],
        });
        joined.input![0] = "j";
      },
    ],
  ])("%s", async (_, code, message, change) => {
    const source = changed(change);
    const error = {
      code,
      category: "data",
      message: expect.stringMatching(message),
      hint: expect.any(String),
    };
    const where = expect.stringContaining(join(source, "model.onnx"));
    await expect(graphOf(source)).rejects.toMatchObject({ ...error, where });
  });

  test.each<[string, Readonly<Record<string, unknown>>, string, string]>([
    ["config.json", { n_head: 5 }, "n_head", "n_head = 5, but the graph has 3 heads"],
    [
      "config.json",
      { activation_function: "relu" },
      "activation_function",
      "activation_function = relu, but the graph has gelu_tanh as its activation function",
    ],
    [
      "config.json",
      { layer_norm_epsilon: 1e-6 },
      "layer_norm_epsilon",
      "layer_norm_epsilon = 0.000001, but the graph has 0.00001 as the epsilon of its norms",
    ],
    [
      "genai_config.json",
      { model: { vocab_size: 97, decoder: { num_hidden_layers: 3 } } },
      "num_hidden_layers",
      "num_hidden_layers = 3, but the graph has 2 layers",
    ],
  ])("a %s that contradicts the graph: both are named: %j", async (file, values, key, message) => {
    const config = JSON.parse(readFileSync(join(fixturesFolder, "gpt2-onnx-optimum/config.json"), "utf8"));
    const source = changed(() => {}, { [file]: JSON.stringify({ ...config, ...values }) });
    await expect(graphOf(source)).rejects.toMatchObject({
      code: "onnx-config",
      message,
      where: `${source}/${file}: ${key}, and ${source}/model.onnx`,
    });
  });

  test("a config.json is not needed, and says how long texts the model knows", async () => {
    const folder = mkdtempSync(join(work, "llama-"));
    cpSync(fixtureSource("llama-onnx-dynamo"), join(folder, "model.onnx"));
    expect((await graphOf(folder)).context).toBe(1 << 24);
    writeFileSync(join(folder, "config.json"), '{"max_position_embeddings": 40}');
    expect((await graphOf(folder)).context).toBe(40);
  });
});
