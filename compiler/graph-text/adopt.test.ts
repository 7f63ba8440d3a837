import { expect, test } from "vitest";
import { withCache } from "../ir/cache.js";
import { densePlan, isDense } from "../ir/forms.js";
import type { Plan } from "../ir/plan.js";
import { mapMatrices, originalMatrix, roundedMatrices, roundedMatrix } from "../ir/rounded.js";
import { withCodedWeights } from "../models/coded.js";
import { makePlan } from "../passes/index.js";
import { openFixture } from "../testing/fixtures.js";
import { adoptPlan } from "./adopt.js";

test("an edited graph may choose forms and the cache, shorten the context, and nothing else", async () => {
  const { model } = await openFixture("llama-bf16");
  const options = { forms: ["dense" as const, "gated" as const], k: [4], epsilon: [0.5] };
  const plan = makePlan(model.graph, { options });
  const header = { config: "model.toml", fingerprint: model.fingerprint };
  const adopt = (changed: Plan, fingerprint = header.fingerprint) =>
    adoptPlan({ plan: changed, header: { ...header, fingerprint } }, model, "graph.ts");
  const graphOf = (change: Partial<Plan["graph"]>): Plan => ({
    ...plan,
    graph: { ...plan.graph, ...change },
  });
  const code = (value: string) => expect.objectContaining({ category: "usage", code: value });

  expect(adopt(plan).linears).toEqual(plan.linears);
  expect(adopt(graphOf({ context: plan.graph.context - 1 })).linears).toEqual(plan.linears);
  // How weights are kept follows model.toml, whatever the graph was built with.
  const coded = withCodedWeights(model.graph, model.weights);
  expect(coded).not.toEqual(model.graph);
  expect(adopt(graphOf(coded)).graph).toEqual(plan.graph);
  const packed = adoptPlan({ plan, header }, { ...model, graph: coded }, "graph.ts");
  expect(packed.graph).toEqual(coded);
  const bytes = ({ linears }: Plan) => [...linears.values()].map((linear) => linear.bytes);
  expect(bytes(packed)).toEqual(bytes(makePlan(coded, { options })));
  expect(bytes(packed)).not.toEqual(bytes(plan));
  // What matrices are rounded to is free, where rows are whole blocks of the type.
  const typed = (type: "f16" | "q8_0") =>
    adopt({ ...plan, graph: mapMatrices(plan.graph, (matrix) => roundedMatrix(matrix, type)) });
  const halves = typed("f16");
  expect(mapMatrices(halves.graph, originalMatrix)).toEqual(plan.graph);
  expect(roundedMatrices(halves.graph).map(({ matrix }) => matrix.rounded!.type)).toContain("f16");
  expect(isDense(halves)).toBe(false);
  expect(densePlan(halves).graph).toEqual(plan.graph);
  expect(() => typed("q8_0")).toThrow(code("graph-type"));
  const cached = withCache(plan.graph, "f16");
  expect(adopt(graphOf(cached)).graph).toEqual(cached);
  const onGpu = (graph: Plan["graph"]) =>
    adoptPlan({ plan: graphOf(graph), header }, model, "graph.ts", "hip");
  expect(onGpu(cached).graph).toEqual(cached);
  expect(() => onGpu(withCache(plan.graph, "int8"))).toThrow(code("graph-cache"));
  expect(() => adopt(plan, "0".repeat(64))).toThrow(code("graph-other-model"));
  expect(() => adopt(graphOf({ context: plan.graph.context + 1 }))).toThrow(code("graph-changed"));
  expect(() => adopt(graphOf({ nodes: plan.graph.nodes.slice(0, -1) }))).toThrow(code("graph-changed"));
  expect(() => adopt(graphOf({ name: "../x" }))).toThrow(code("graph-changed"));
  const shifted = plan.graph.nodes.map((node) => (node.kind === "embedding" ? { ...node, offset: 1 } : node));
  expect(() => adopt(graphOf({ nodes: shifted }))).toThrow(
    expect.objectContaining({ code: "graph-changed", where: "graph.ts: tokens" }),
  );
  model.weights.close();
});
