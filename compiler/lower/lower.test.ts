import { describe, expect, test } from "vitest";
import type { Graph, LinearNode, Node, NormNode, RopeNode, ValueId } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { verifyPlan } from "../ir/verify.js";
import { accountBytes } from "../passes/account-bytes.js";
import { shareInputs } from "../passes/share-inputs.js";
import { inputNode, matrixRef } from "../testing/kernels.js";
import { type Fusion, fusion } from "./fusion.js";
import { fusions } from "./fusions.js";
import { lower } from "./lower.js";

const width = 8;
const x = inputNode("x", "table", 4, width);
const logits = linear("logits", "y");

function linear(id: ValueId, input: ValueId): LinearNode {
  return { kind: "linear", id, layer: null, input, weight: matrixRef(id, "f32", width, width), bias: null };
}

function norm(id: ValueId, input: ValueId, heads = 1, method: NormNode["method"] = "rms"): NormNode {
  const gain = { tensor: id, length: width / heads, first: 0 };
  return { kind: "norm", id, layer: null, input, method, heads, gain, bias: null, epsilon: 1e-5 };
}

function rope(id: ValueId, input: ValueId, theta = 10000): RopeNode {
  const scaling = { kind: "none" } as const;
  return {
    kind: "rope",
    id,
    layer: null,
    input,
    heads: 2,
    headDim: 4,
    rotaryDim: 4,
    pairing: "half",
    theta,
    scaling,
  };
}

function add(id: ValueId, left: ValueId, right: ValueId): Node {
  return { kind: "add", id, layer: null, left, right };
}

function multiply(id: ValueId, left: ValueId, right: ValueId): Node {
  return { kind: "multiply", id, layer: null, left, right };
}

function activation(id: ValueId, input: ValueId): Node {
  return { kind: "activation", id, layer: null, input, function: "silu" };
}

function attention(query: ValueId, key: ValueId, value: ValueId): Node {
  const shape = { heads: 2, kvHeads: 2, headDim: 4, scale: 0.5, window: null };
  return { kind: "attention", id: "y", layer: null, query, key, value, ...shape, cache: "f32" };
}

/** A valid graph of these nodes and a head behind `y`, as a dense plan. */
function planOf(nodes: readonly Node[]): Plan {
  const graph: Graph = {
    name: "test",
    family: "made",
    vocabulary: width,
    context: 4,
    output: "logits",
    nodes: [x, ...nodes, logits],
  };
  const plan = accountBytes(shareInputs({ graph, linears: new Map(), groups: [] }));
  verifyPlan(plan, "test");
  return plan;
}

/** The steps as a word and the value that they compute. */
function stepsOf(nodes: readonly Node[]): string[] {
  return lower(planOf(nodes)).map((step) => `${step.kind} ${"output" in step ? step.output : step.layer}`);
}

const heads = ["q", "k", "v"].map((id) => linear(id, "x"));

describe("who is fused", () => {
  test.each<[what: string, nodes: readonly Node[], steps: readonly string[]]>([
    ["the right term of a sum, if both may be", [heads[0]!, heads[1]!, add("y", "q", "k")], ["q", "y"]],
    ["the left one, if others read the right", [heads[0]!, add("y", "q", "x")], ["y"]],
    [
      "a sum's norm, if it stands to the right of a linear",
      [heads[0]!, norm("n", "x"), add("y", "q", "n")],
      ["q", "norm y"],
    ],
    ["no linear that others read", [linear("a", "x"), linear("b", "a"), add("y", "b", "a")], ["a", "y"]],
  ])("%s", (_, nodes, steps) => {
    const named = steps.map((step) => (step.includes(" ") ? step : `project ${step}`));
    expect(stepsOf(nodes)).toEqual(["embed x", ...named, "project logits"]);
  });

  test("embeddings with their sum, and no sum of an embedding and something else", () => {
    const [a, b] = ["a", "b"].map((id) => inputNode(id, "table", 4, width));
    const steps = ["embed x", "embed y", "project logits"];
    expect(stepsOf([a!, b!, add("y", "a", "b")])).toEqual(steps);
    const apart = ["embed x", "embed a", "project y", "project logits"];
    expect(stepsOf([a!, heads[0]!, add("y", "a", "q")])).toEqual(apart);
  });

  test("what attention reads", () => {
    const nodes = [...heads, norm("qn", "q", 2), norm("kn", "k", 2), rope("qr", "qn"), rope("kr", "kn")];
    const steps = ["project y_inputs", "cache 0", "attend y"];
    expect(stepsOf([...nodes, attention("qr", "kr", "v")])).toEqual(["embed x", ...steps, "project logits"]);
  });

  test("a GLU, whichever way its product is written", () => {
    const nodes = [linear("g", "x"), linear("u", "x"), activation("a", "g")];
    for (const product of [multiply("y", "a", "u"), multiply("y", "u", "a")])
      expect(stepsOf([...nodes, product])).toEqual(["embed x", "project y", "project logits"]);
  });
});

describe("what no fusion takes is a defect of the family", () => {
  const rotated = [...heads, rope("qr", "q"), rope("kr", "k")];
  test.each<[what: string, nodes: readonly Node[], where: string, hint: RegExp]>([
    ["a rotation that no attention reads", [rope("y", "x")], "y", /a fusion absorbs it/],
    ["a norm of heads that no attention reads", [norm("y", "x", 2)], "y", /a norm of whole values/],
    ["a norm of heads before a residual", [norm("a", "x", 2), add("y", "x", "a")], "y", /sum of a norm/],
    ["a sum of values that others read", [linear("a", "x"), add("y", "a", "a")], "y", /sum of a linear/],
    ["an activation of no linear", [activation("y", "x")], "y", /the activation of a linear/],
    [
      "an activation of a linear that others read",
      [linear("a", "x"), activation("b", "a"), linear("c", "b"), add("y", "a", "c")],
      "b",
      /the activation of a linear/,
    ],
    ["a product without an activation", [...heads.slice(1), multiply("y", "k", "v")], "y", /f\(gate\) \* up/],
    [
      "a gate and up of two values",
      [linear("g", "x"), linear("n", "x"), linear("u", "n"), activation("a", "g"), multiply("y", "a", "u")],
      "y",
      /f\(gate\) \* up/,
    ],
    ["attention that reads no linears", [attention("x", "x", "x")], "y", /are linears of one value/],
    [
      "attention that reads one linear twice",
      [...heads.slice(1), attention("k", "k", "v")],
      "y",
      /are linears/,
    ],
    [
      "attention whose linears read two values",
      [...heads.slice(0, 2), norm("n", "x"), linear("v", "n"), attention("q", "k", "v")],
      "y",
      /are linears of one value/,
    ],
    [
      "attention whose linears others read",
      [...heads, linear("n", "q"), add("z", "n", "x"), attention("q", "k", "v")],
      "y",
      /are linears of one value/,
    ],
    ["a value that is rotated", [...rotated, rope("vr", "v"), attention("qr", "kr", "vr")], "y", /rotations/],
    ["a value that is normalised", [...heads, norm("vn", "v", 2), attention("q", "k", "vn")], "y", /norms/],
    ["keys that are not rotated", [...heads, rope("qr", "q"), attention("qr", "k", "v")], "y", /rotations/],
    [
      "keys that are rotated otherwise",
      [...heads, rope("qr", "q"), rope("kr", "k", 500), attention("qr", "kr", "v")],
      "y",
      /by the same angles/,
    ],
    ["keys that are not normalised", [...heads, norm("qn", "q", 2), attention("qn", "k", "v")], "y", /norms/],
    [
      "layer norms of heads",
      [...heads, norm("qn", "q", 2, "layer"), norm("kn", "k", 2, "layer"), attention("qn", "kn", "v")],
      "y",
      /RMS norms/,
    ],
  ])("%s", (_, nodes, where, hint) => {
    const refused = expect.objectContaining({
      category: "defect",
      code: "graph-unsupported",
      exitCode: 1,
      where: `test, family made: ${where}`,
      hint: expect.stringMatching(hint),
    });
    expect(() => lower(planOf(nodes))).toThrow(refused);
  });
});

describe("what a fusion absorbs is its own", () => {
  const greedy = fusion({
    name: "greedy",
    ends: "linear",
    takes: "a linear and what it reads",
    match: ({ input }, { graph }) => ({ absorbs: graph.nodes.filter(({ id }) => id === input) }),
    steps: () => [],
  });
  const forward = fusion({
    name: "forward",
    ends: "embedding",
    takes: "an embedding, and the output",
    match: (_, { graph }) => ({ absorbs: graph.nodes.slice(-1) }),
    steps: () => [],
  });
  test.each<[what: string, by: Fusion, where: string, reader: string]>([
    ["nobody else reads it", greedy, "x", "is read by q"],
    ["nor is it the output", forward, "logits", "is a result"],
  ])("%s", (_, by, where, reader) => {
    const plan = planOf([heads[0]!, heads[1]!, add("y", "q", "k")]);
    const refused = expect.objectContaining({
      category: "defect",
      code: "graph-unsupported",
      where: `test, family made: ${where}`,
      message: expect.stringContaining(reader),
    });
    expect(() => lower(plan, [by, ...fusions])).toThrow(refused);
  });
});
