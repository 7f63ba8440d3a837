import { describe, expect, test } from "vitest";
import { isDenseForm, kindOf, sharing } from "../ir/forms.js";
import { blockSizes, type DType } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { verifyPlan, violations, violationText } from "../ir/verify.js";
import { inputsOf, linearById } from "../ir/walk.js";
import { fixtureNames, openFixture } from "../testing/fixtures.js";
import { bytesPerToken } from "./cost.js";
import { makePlan, passes } from "./index.js";

async function planOf(name: string, k: number, forms: readonly ("dense" | "gated")[]): Promise<Plan> {
  const { model } = await openFixture(name);
  model.weights.close();
  return makePlan(model.graph, { options: { forms, k: [k, 99], epsilon: [0.3, 0.1] } });
}

/** Bytes of a block beyond the file's: scales and minima of 6 bits take a byte each. */
const unpackedScales: Partial<Record<DType, number>> = { q4_k: 4, q5_k: 4 };

/** Bytes of a matrix: of numbers in tiles of four rows and blocks of 32, of block types in tiles of sixteen rows. */
function packed(dtype: DType, out: number, d: number): number {
  const { elements, bytes } = blockSizes[dtype];
  if (elements === 1) return 4 * Math.ceil(out / 4) * Math.ceil(d / 32) * 32 * bytes;
  return 16 * Math.ceil(out / 16) * (d / elements) * (bytes + (unpackedScales[dtype] ?? 0));
}

describe("plans of every fixture", () => {
  for (const name of fixtureNames()) {
    test(`${name}: linears that read one value form one group, and are accounted for`, async () => {
      const plan = await planOf(name, 5, ["dense", "gated"]);
      const { graph, groups, linears } = plan;
      const nodes = graph.nodes.filter((node) => node.kind === "linear");
      expect([...linears.keys()]).toEqual(nodes.map(({ id }) => id));
      expect(groups.flatMap((group) => group.linears).sort()).toEqual(nodes.map(({ id }) => id).sort());
      expect(new Set(groups.map(({ input }) => input)).size).toBe(groups.length);
      for (const group of groups) {
        const { input, linears: members } = group;
        const gate = sharing(plan, group).subspace;
        members.forEach((id, index) => {
          const node = linearById(graph, id);
          const { form, bytes, verdict } = linears.get(id)!;
          expect(inputsOf(node)).toEqual([input]);
          expect(verdict).not.toBe("");
          const { out, d, dtype, ordered } = node.weight;
          // The order of columns: 4 bytes for each.
          const dense = packed(dtype, out, d) + (ordered ? 4 * d : 0);
          expect(bytes.dense).toBe(dense);
          if (id === graph.output) {
            expect([form, gate, bytes]).toEqual([
              { gate: null, tier: null },
              null,
              { dense, fast: dense, slow: dense },
            ]);
            return;
          }
          expect(form).toEqual({ gate: { k: 5, epsilon: 0.3 }, tier: null });
          expect(gate).toEqual({ k: 5, epsilon: 0.3 });
          // f16: M is [out, 5], V is [d, 5] and read once, for the first of the group.
          const basis = index === 0 ? packed("f16", 5, d) : 0;
          expect(bytes).toEqual({ dense, fast: basis + packed("f16", out, 5), slow: basis + dense });
        });
      }
      const sums = [...linears.values()].map(({ bytes }) => bytes);
      expect(bytesPerToken(plan)).toEqual({
        dense: sums.reduce((sum, { dense }) => sum + dense, 0),
        fast: sums.reduce((sum, { fast }) => sum + fast, 0),
        slow: sums.reduce((sum, { slow }) => sum + slow, 0),
      });
    });
  }
});

test("a basis that is no proper subspace is not taken, and dense is what is left when gated is not asked for", async () => {
  const wide = await planOf("gpt2-bf16", 34, ["dense", "gated"]);
  const widths = new Map([...wide.linears.keys()].map((id) => [id, linearById(wide.graph, id).weight.d]));
  for (const [id, { form, bytes }] of wide.linears) {
    expect(kindOf(form), id).toBe(widths.get(id)! > 34 ? "gated" : "dense");
    if (isDenseForm(form)) expect(bytes.fast).toBe(bytes.dense);
  }
  const dense = await planOf("gpt2-bf16", 5, ["dense"]);
  expect([...dense.linears.values()].every(({ form }) => isDenseForm(form))).toBe(true);
  expect(dense.groups.every((group) => sharing(dense, group).subspace === null)).toBe(true);
});

test("passes run in order, are pure, and each result is seen", async () => {
  const { model } = await openFixture("llama-bf16");
  model.weights.close();
  const options = { forms: ["gated" as const], k: [5], epsilon: [0.5] };
  const seen: [string, string][] = [];
  const text = (plan: Plan) => JSON.stringify([[...plan.linears], plan.groups]);
  const plans: Plan[] = [];
  const plan = makePlan(model.graph, { options }, (name, result) => {
    seen.push([name, text(result)]);
    plans.push(result);
  });
  expect(seen.map(([name]) => name)).toEqual(passes.map(({ name }) => name));
  expect(plans.map(text)).toEqual(seen.map(([, result]) => result));
  expect(plans.at(-1)).toBe(plan);
  expect(text(makePlan(model.graph, { options }))).toBe(text(plan));
});

test("the verifier names what a broken graph or plan violates", async () => {
  const plan = await planOf("llama-bf16", 5, ["gated"]);
  const { graph } = plan;
  const change = (id: string, fields: object) => ({
    ...graph,
    nodes: graph.nodes.map((node) => (node.id === id ? ({ ...node, ...fields } as typeof node) : node)),
  });
  const attention = graph.nodes.find((node) => node.kind === "attention")!;
  const linear = linearById(graph, graph.output);
  expect(violations(graph)).toEqual([]);
  const { id: last } = linear;
  expect(violations({ ...graph, nodes: graph.nodes.toReversed() })[0]).toEqual({
    ...{ invariant: "defined-before-use", node: last, input: linear.input },
  });
  const first = graph.nodes[0]!.id;
  expect(violations({ ...graph, nodes: [graph.nodes[0]!, ...graph.nodes] })).toEqual([
    { invariant: "one-definition", node: first },
  ]);
  expect(violations(change(attention.id, { kvHeads: 2 }))).toContainEqual({
    ...{ invariant: "heads-divide", node: attention.id, heads: attention.heads, kvHeads: 2 },
  });
  expect(violations(change(last, { bias: { tensor: "b", length: 3, first: 0 } }))).toEqual([
    { invariant: "bias-matches-rows", node: last, found: 3, expected: graph.vocabulary },
  ]);
  const table = graph.nodes.find((node) => node.kind === "embedding")!;
  const rows = table.table.out;
  const short = { invariant: "table-has-every-row", node: table.id, rows };
  expect(violations(change(table.id, { offset: 1 }))).toEqual([{ ...short, lastRow: rows }]);
  expect(violations(change(table.id, { index: "position" }))).toEqual([]);
  expect(violations({ ...change(table.id, { index: "position" }), context: 1e6 })).toEqual([
    { ...short, lastRow: 1e6 - 1 },
  ]);
  const norm = graph.nodes.find((node) => node.kind === "norm")!;
  const wide = violations(change(norm.id, { heads: 2 }));
  const width = norm.gain.length;
  expect(wide).toContainEqual({
    ...{ invariant: "inputs-have-the-node's-width", node: norm.id, found: width, expected: 2 * width },
  });
  expect(violationText(wide[0]!)).toBe(
    `inputs-have-the-node's-width: ${norm.id}: width ${width}, expected ${2 * width}`,
  );
  const rope = graph.nodes.find((node) => node.kind === "rope")!;
  const { headDim, rotaryDim } = rope;
  expect(violations(change(rope.id, { rotaryDim: headDim + 2 }))).toEqual([
    { invariant: "rotation-fits-head", node: rope.id, rotaryDim: headDim + 2, headDim },
  ]);
  expect(violations(change(rope.id, { scaling: { kind: "divisors", divisors: [1] } }))).toEqual([
    { invariant: "a-divisor-for-each-pair", node: rope.id, found: 1, expected: rotaryDim / 2 },
  ]);
  const unlike = { ...graph, vocabulary: 7 };
  expect(violations(unlike)).toEqual([
    { invariant: "output-has-the-vocabulary", node: null, rows: graph.vocabulary },
  ]);
  expect(violationText(violations(unlike)[0]!)).toBe(`output-has-the-vocabulary: ${graph.vocabulary}`);
  expect(violations({ ...graph, output: attention.id })).toEqual([
    { invariant: "output-is-a-linear", node: null, output: attention.id },
  ]);

  const [second, decided] = [...plan.linears][1]!;
  const mixed = {
    ...plan,
    linears: new Map([...plan.linears, [second, { ...decided, form: { gate: null, tier: null } as const }]]),
  };
  expect(() => verifyPlan(mixed, "a-pass")).toThrow(
    /after pass a-pass:\n {2}a-group-shares: .*one kind of form/,
  );
  const undecided = { ...plan, linears: new Map([...plan.linears].slice(1)) };
  expect(() => verifyPlan(undecided, "a-pass")).toThrow(/every-linear-is-decided/);
});
