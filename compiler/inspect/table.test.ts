import { describe, expect, test } from "vitest";
import { densePlan } from "../ir/forms.js";
import type { LinearPlan, Plan } from "../ir/plan.js";
import { mapInputs } from "../ir/walk.js";
import { readGraph } from "../models/index.js";
import { accountBytes } from "../passes/account-bytes.js";
import { makePlan } from "../passes/index.js";
import type { Weights } from "../read/weights.js";
import { openFixture } from "../testing/fixtures.js";
import { madeUpSearch } from "../testing/search-report.js";
import { planDot, planJson, planTable } from "./table.js";

const widest = (text: string) => Math.max(...text.split("\n").map((line) => [...line].length));

describe("the table", () => {
  test("of SmolLM2-135M", () => {
    const plan = makePlan(smollm2("smollm2"), { options: { forms: ["gated"], k: [128], epsilon: [0.1] } });
    const table = planTable(plan);
    expect(widest(table)).toBeLessThanOrEqual(100);
    expect(table).toMatchInlineSnapshot(`
      "smollm2 (llama): 211 linears of bf16, 1 dense, 210 gated; context 2048 tokens

        linear         form     k  eps     dense      fast      slow  why
        -------------  -----  ---  ---  --------  --------  --------  ----------------------------
      layers 0-29, each
        query          gated  128  0.1  663.6 kB  294.9 kB  811.0 kB  gated, as configured
        key            gated  128  0.1  221.2 kB   49.2 kB  221.2 kB  gated, as configured
        value          gated  128  0.1  221.2 kB   49.2 kB  221.2 kB  gated, as configured
        attention_out  gated  128  0.1  663.6 kB  294.9 kB  811.0 kB  gated, as configured
        gate           gated  128  0.1    1.8 MB  540.7 kB    1.9 MB  gated, as configured
        up             gated  128  0.1    1.8 MB  393.2 kB    1.8 MB  gated, as configured
        down           gated  128  0.1    1.8 MB  540.7 kB    2.2 MB  gated, as configured
      model
        logits         dense             56.6 MB   56.6 MB   56.6 MB  stays dense: the output head
        -------------  -----  ---  ---  --------  --------  --------  ----------------------------
      A token reads 269.0 MB of weights in all linears, dense.
      With every gate closed: 121.5 MB (45.2 % of dense). With every gate open: 294.0 MB (109.3 % of
      dense).
      How often gates close is measured on held-out text: see \`gsic eval\`."
    `);
  });

  test("of a dense plan", async () => {
    const { model } = await openFixture("gpt2-f32");
    model.weights.close();
    const table = planTable(makePlan(model.graph, { options: { forms: ["dense"], k: [4], epsilon: [0.1] } }));
    expect(table).toContain("layers 0-1, each");
    expect(table).not.toContain("gates");
  });

  test("says the type of each linear where they differ", async () => {
    const { model } = await openFixture("qwen3-compressed");
    model.weights.close();
    const table = planTable(makePlan(model.graph, { options: { forms: ["dense"], k: [4], epsilon: [0.1] } }));
    expect(table).toContain(": 15 linears, 15 dense;");
    expect(table).toMatch(/^ {2}linear +type +form +dense +read +why\n/m);
    expect(table).toMatch(/^layer 1\n {2}query +i4 +dense +/m);
    expect(table).toMatch(/^ {2}up +f8 +dense +/m);
    expect(table).toMatch(/^ {2}down +i4_128 +dense +/m);
  });

  test("has no columns that say nothing, so that reasons have room", () => {
    const quantizer = { bits: 4, group: 32, symmetric: true } as const;
    const tiered = (rank: number, exact: { projections: number; threshold: number } | null) =>
      planTable(
        changed(densePlan(smollm2Plan()), "layer7_down", {
          form: { gate: null, tier: { quantizer, rank, exact } },
        }),
      );
    const columns = (table: string) => table.split("\n")[2]!.trim().split(/ +/);
    expect(columns(tiered(0, null))).toEqual(["linear", "form", "dense", "read", "why"]);
    expect(columns(tiered(8, null))).toEqual(["linear", "form", "k", "dense", "read", "why"]);
    const gated = tiered(8, { projections: 8, threshold: 0.16424468 });
    expect(columns(gated).slice(0, 7)).toEqual(["linear", "form", "k", "eps", "dense", "fast", "slow"]);
    expect(gated).toMatch(/ 8 +0\.164 /);
  });

  test("puts reasons below where they would be narrow", () => {
    const verdict = "reads 34.1 % of dense for 0.6 % of the KL";
    const quantizer = { bits: 4, group: 32, symmetric: true } as const;
    const exact = { projections: 8, threshold: 0.16424468 };
    const form = { gate: { k: 128, epsilon: 0.0987 }, tier: { quantizer, rank: 16, exact } } as const;
    const lines = planTable(changed(smollm2Plan(), "layer7_down", { form, verdict })).split("\n");
    const at = lines.findIndex((line) => line.includes("gated+tiered 4 bits/32  128+16  0.0987+0.164"));
    expect(lines[at + 1]).toBe(`    ${verdict}`);
    expect(widest(lines.join("\n"))).toBeLessThanOrEqual(100);
  });

  test("shows layers that differ apart, and joins those on either side", () => {
    const plan = changed(smollm2Plan(), "layer7_down", {
      form: { gate: null, tier: null },
      verdict: "does not pay",
    });
    const titles = planTable(plan)
      .split("\n")
      .filter((line) => /^(layer|model)/.test(line));
    expect(titles).toEqual(["layers 0-6, each", "layer 7", "layers 8-29, each", "model"]);
  });

  test("stays within its columns, whatever the names and verdicts", () => {
    const long = "a-very-long-name.".repeat(20);
    const esc = String.fromCharCode(27);
    const graph = smollm2(long, `${long}.layers`);
    const plan = makePlan(graph, { options: { forms: ["gated"], k: [128], epsilon: [0.1] } });
    const verdict = `stays dense: ${"the measured perplexity ratio is above the budget, ".repeat(6)}${"x".repeat(300)}`;
    const hostile = changed(plan, "layer3_gate", { verdict: `${esc}[31m漢字\n${verdict}` });
    for (const columns of [72, 80, 100, 140])
      expect(widest(planTable(hostile, columns))).toBeLessThanOrEqual(columns);
    expect(planTable(hostile)).not.toContain(esc);
    const rename = (id: string) => `${id}_${long}`;
    const renamed = {
      ...hostile,
      graph: {
        ...graph,
        nodes: graph.nodes.map((node) => ({ ...mapInputs(node, rename), id: rename(node.id) })),
      },
      linears: new Map(
        [...hostile.linears].map(([id, one]) => [rename(id), { ...one, linear: rename(one.linear) }]),
      ),
    };
    for (const columns of [72, 100]) expect(widest(planTable(renamed, columns))).toBeLessThanOrEqual(columns);
  });
});

test("the JSON has every linear", () => {
  const json = planJson(smollm2Plan());
  expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  expect(json.linears).toHaveLength(30 * 7 + 1);
  expect(json.linears[7]).toEqual({
    linear: "layer1_query",
    layer: 1,
    input: "layer1_attention_norm",
    tensor: "model.layers.1.self_attn.q_proj.weight",
    dtype: "bf16",
    shape: [576, 576],
    form: { gate: { k: 128, epsilon: 0.1 }, tier: null },
    bytes: { dense: 663552, fast: 294912, slow: 811008 },
    verdict: "gated, as configured",
    search: null,
  });
  expect(json.search).toBeNull();
  expect(json.linears.at(-1)).toMatchObject({
    linear: "logits",
    layer: null,
    form: { gate: null, tier: null },
  });
});

test("the JSON of a planned build has each linear's part of what its input's linears lose together", () => {
  const search = madeUpSearch(0.01);
  const json = planJson(smollm2Plan(), search);
  const of = (id: string) => json.linears.find(({ linear }) => linear === id)!.search;
  const [input] = search.inputs;
  const shares = ["layer1_query", "layer1_key", "layer1_value"].map((id) => of(id)!);
  expect(shares.map(({ error }) => error)).toEqual([2, 5, 1]);
  expect(shares.map(({ kl_share: share }) => share)).toEqual([0.1, 0.25, 0.05]);
  const together = shares.reduce((sum, { predicted_kl: kl }) => sum + kl, 0);
  expect(together).toBeCloseTo(input!.predicted_kl, 12);
  for (const { rejected } of shares) expect(rejected).toEqual(input!.rejected);
  // An input without error has no part to divide.
  expect(of("logits")).toMatchObject({ error: 0, predicted_kl: 0, kl_share: 0, rejected: [] });
  expect(of("layer2_query")).toBeNull();
  expect(json.search).toMatchObject({ verdict: search.verdict, round_to_nearest: search.round_to_nearest });
  expect(json.search).not.toHaveProperty("inputs");
});

test("the DOT text is escaped", async () => {
  const { model } = await openFixture("llama-f16");
  model.weights.close();
  const graph = { ...model.graph, name: 'a"b\\N\n{' };
  const dot = planDot(makePlan(graph, { options: { forms: ["gated"], k: [4], epsilon: [0.1] } }));
  expect(dot.split("\n")[0]).toBe('digraph "a\\"b\\\\N\\\\u{a}{" {');
  expect(dot).toContain('    label="layer 0";');
  expect(dot).toMatch(
    /n\d+ \[label="query\\ngated \(k = 4, epsilon = 0\.1\) \[\d+, \d+\] f16\\n.* fast, .* slow", style=filled/,
  );
  expect(dot.match(/->/g)!.length).toBeGreaterThan(graph.nodes.length - 1);
  const unquoted = dot.replace(/"(\\.|[^"\\])*"/g, "");
  expect(unquoted).not.toContain('"');
  expect(unquoted.match(/\{/g)!.length).toBe(unquoted.match(/\}/g)!.length);
});

function changed(plan: Plan, id: string, change: Partial<LinearPlan>): Plan {
  return accountBytes({
    ...plan,
    linears: new Map([...plan.linears].map(([key, one]) => [key, key === id ? { ...one, ...change } : one])),
  });
}

function smollm2Plan(): Plan {
  return makePlan(smollm2("smollm2"), { options: { forms: ["gated"], k: [128], epsilon: [0.1] } });
}

/** The graph of SmolLM2-135M, from its configuration alone. */
function smollm2(name: string, prefix = "model.layers") {
  const [hidden, inner, kv, vocab] = [576, 1536, 192, 49152];
  const shapes: Readonly<Record<string, number[]>> = {
    q_proj: [hidden, hidden],
    k_proj: [kv, hidden],
    v_proj: [kv, hidden],
    o_proj: [hidden, hidden],
    gate_proj: [inner, hidden],
    up_proj: [inner, hidden],
    down_proj: [hidden, inner],
    embed_tokens: [vocab, hidden],
  };
  const info = (tensor: string) => {
    if (tensor.endsWith(".bias") || tensor === "lm_head.weight") return undefined;
    return { dtype: "bf16", shape: shapes[tensor.split(".").at(-2)!] ?? [hidden] };
  };
  const config = {
    model_type: "llama",
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: vocab,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  };
  const weights = {
    kind: "safetensors",
    source: "/smollm2",
    config,
    info,
    names: () => [],
    orderOf: () => undefined,
  } as unknown as Weights;
  const graph = readGraph(weights, name);
  const nodes = graph.nodes.map((node) =>
    node.kind === "linear"
      ? { ...node, weight: { ...node.weight, tensor: node.weight.tensor.replace("model.layers", prefix) } }
      : node,
  );
  return { ...graph, nodes };
}
