import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Algebra } from "../calibrate/algebra.js";
import type { Graph, ValueId } from "../ir/graph.js";
import { readGraph } from "../models/index.js";
import { evaluateGraph, evaluateNode, referenceLogits, type Value } from "../oracle/reference.js";
import { makePlan } from "../passes/index.js";
import { readTensors } from "../read/safetensors-write.js";
import { Weights } from "../read/weights.js";
import { packageRoot } from "../support/paths.js";
import { normals } from "../testing/calibrated-tiers.js";
import { backwardPass } from "./gradients.js";

const fixtures = join(packageRoot, "compiler/models/fixtures");

let algebra: Algebra;
beforeAll(() => {
  algebra = new Algebra();
});
afterAll(() => algebra.close());

/** The logits, in float64, where the output of a linear is off by `wrong`; nothing before it differs from each window's `right` values. */
function logitsWith(
  graph: Graph,
  weights: Weights,
  windows: number[][],
  right: readonly ReadonlyMap<ValueId, Value>[],
  id: ValueId,
  wrong: Float64Array,
) {
  const width = wrong.length / windows.flat().length;
  const behind = graph.nodes.slice(graph.nodes.findIndex((node) => node.id === id) + 1);
  let begin = 0;
  return windows.flatMap((ids, window) => {
    const values = new Map(right[window]);
    const value = values.get(id)!;
    values.set(id, { ...value, data: value.data.map((y, i) => y + wrong[begin * width + i]!) });
    for (const node of behind) values.set(node.id, evaluateNode(node, weights, ids, values));
    begin += ids.length;
    return [...values.get(graph.output)!.data];
  });
}

// The adjoint identity: with r sent back from the logits, r . J y = G . y for the output y of every linear.
test.each(readdirSync(fixtures).filter((name) => !/\.|^_/.test(name)))("gradients of %s", async (name) => {
  const folder = join(fixtures, name);
  const gguf = readdirSync(folder).find((file) => file.endsWith(".gguf"));
  const weights = await Weights.open(gguf === undefined ? folder : join(folder, gguf));
  const graph = readGraph(weights, name);
  const expected = await readTensors(join(folder, "expected.safetensors"));
  const ids = (expected.tensors.get("ids")!.data as Int32Array).slice(0, 10);
  const window = 6;
  const windows = [[...ids.subarray(0, window)], [...ids.subarray(window)]];
  const { groups } = makePlan(graph, { options: { forms: ["dense"], k: [1], epsilon: [1] } });
  const found = new Map<ValueId, Float32Array>();
  const inputs = new Map<ValueId, Float32Array>();
  for await (const known of backwardPass({ graph, weights, algebra, groups }, { ids, window }, () => {})) {
    known.group.linears.forEach((id, index) => {
      found.set(id, known.gradients[index]!);
      inputs.set(id, known.inputs);
    });
  }
  const all = groups.flatMap(({ linears }) => linears);
  expect([...found.keys()].sort()).toEqual([...all].sort());
  const sent = found.get(graph.output)!;
  const right = windows.map((window) => evaluateGraph(graph, weights, window));
  const step = 1e-5;
  for (const [seed, id] of all.filter((one) => one !== graph.output).entries()) {
    const gradient = found.get(id)!;
    const along = Float64Array.from(normals(gradient.length, seed + 1));
    const [up, down] = [step, -step].map((by) =>
      logitsWith(
        graph,
        weights,
        windows,
        right,
        id,
        along.map((y) => by * y),
      ),
    ) as [number[], number[]];
    const measured = up.reduce((sum, one, i) => sum + (sent[i]! * (one - down[i]!)) / (2 * step), 0);
    const predicted = along.reduce((sum, y, i) => sum + y * gradient[i]!, 0);
    const size = Math.hypot(...gradient);
    expect(Math.abs(predicted - measured), id).toBeLessThan(2e-4 * size);
  }
  weights.close();
});

test("what is sent back has the Fisher information of the logits' distribution", async () => {
  const folder = join(fixtures, "llama-f16");
  const weights = await Weights.open(folder);
  const graph = readGraph(weights, "llama");
  const ids = Int32Array.from({ length: 400 }, (_, i) => (7 * i) % graph.vocabulary);
  const { groups } = makePlan(graph, { options: { forms: ["dense"], k: [1], epsilon: [1] } });
  const head = groups.filter(({ linears }) => linears.includes(graph.output));
  // Windows of one token: the distribution behind it does not depend on the others.
  for await (const { gradients } of backwardPass(
    { graph, weights, algebra, groups: head },
    { ids, window: 1 },
    () => {},
  )) {
    const [sent, count] = [gradients[0]!, graph.vocabulary];
    let [measured, expected] = [0, 0];
    const known = new Map<number, Float64Array>();
    for (const [token, id] of ids.entries()) {
      const logits = known.get(id) ?? referenceLogits(graph, weights, [id]);
      known.set(id, logits);
      const most = Math.max(...logits);
      const powers = logits.map((one) => Math.exp(one - most));
      const total = powers.reduce((sum, one) => sum + one, 0);
      // E||r||^2 is the trace of diag(p) - p p^T.
      expected += 1 - powers.reduce((sum, one) => sum + (one / total) ** 2, 0);
      measured += sent.subarray(token * count, (token + 1) * count).reduce((sum, one) => sum + one * one, 0);
    }
    expect(measured / expected).toBeGreaterThan(0.95);
    expect(measured / expected).toBeLessThan(1.05);
  }
  weights.close();
});
