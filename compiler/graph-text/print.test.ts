import { join } from "node:path";
import fc from "fast-check";
import { Project, ts } from "ts-morph";
import { describe, expect, test } from "vitest";
import type { Graph, Node } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { roundedMatrix } from "../ir/rounded.js";
import { makePlan } from "../passes/index.js";
import type { ConfiguredForm } from "../passes/pass.js";
import { packageRoot } from "../support/paths.js";
import { fixtureNames, openFixture } from "../testing/fixtures.js";
import { parsePlan } from "./parse.js";
import { printPlan } from "./print.js";
import { layerByName, quote } from "./print-names.js";

// biome-ignore lint/suspicious/noTemplateCurlyInString: it stands for the template syntax of generated code.
const placeholder = "${x}";
const header = { config: "../../examples/tiny-gpt2/model.toml", fingerprint: "ab".repeat(32) };
const dense: ConfiguredForm = { forms: ["dense"], k: [64], epsilon: [0.1] };
const gated: ConfiguredForm = { forms: ["dense", "gated"], k: [4], epsilon: [0.05] };

async function planOf(fixture: string, options: ConfiguredForm): Promise<Plan> {
  const { model } = await openFixture(fixture);
  model.weights.close();
  return makePlan(model.graph, { options });
}

describe("print and parse are inverses", () => {
  for (const name of fixtureNames()) {
    test(name, async () => {
      for (const options of [dense, gated]) {
        const plan = await planOf(name, options);
        const text = printPlan(plan, header);
        const parsed = await parsePlan("graph.ts", text);
        expect(parsed).toEqual({ plan, header });
        expect(printPlan(parsed.plan, parsed.header)).toBe(text);
      }
    });
  }

  test("of every node kind, with no default", async () => {
    const plan = makePlan(unusual(), { options: gated });
    const text = printPlan(plan, header);
    expect(text.split("\n").filter((line) => line.length > 110)).toEqual([]);
    expect((await parsePlan("graph.ts", text)).plan).toEqual(plan);
  });

  test("of names with hostile characters", async () => {
    const special = [
      "\n",
      "\r",
      '"',
      "'",
      "`",
      "\\",
      "*/",
      "/*",
      "//",
      placeholder,
      "{{x}}",
      "\u2028",
      "\u202e",
      "\0",
      "\ud800",
      "😀",
    ];
    const pieces = fc.array(
      fc.oneof(fc.constantFrom(...special, "layer0_", "linear", "dense", "const"), fc.string()),
      { maxLength: 5 },
    );
    const name = pieces.map((parts) => parts.join(""));
    const ids = fc.uniqueArray(name, { minLength: 5, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(ids, fc.array(name, { minLength: 8, maxLength: 8 }), async (ids, names) => {
        const plan = makePlan(tiny(ids, names), { options: gated });
        const strange = { config: names[6]!, fingerprint: names[7]! };
        const text = printPlan(plan, strange);
        expect(text).not.toMatch(/\*\/|\$\{|\{\{|`(?!gsic build`)(?<!\\`)(?<!`gsic build`)/);
        expect(text).toMatch(/^[\P{C}\n]*$/u);
        const parsed = await parsePlan("graph.ts", text);
        expect(parsed).toEqual({ plan, header: strange });
        expect(printPlan(parsed.plan, parsed.header)).toBe(text);
      }),
      { numRuns: 60 },
    );
  });
});

describe("the text", () => {
  test("is laid out for people", async () => {
    const lines = printPlan(await planOf("gpt2-f32", gated), header).split("\n");
    expect(lines).toContain("// layer 1");
    expect(lines.filter((line) => line.length > 110)).toEqual([]);
    const at = lines.findIndex((line) => line.startsWith("const layer1_key "));
    expect(lines.slice(at, at + 4).join("\n")).toMatchInlineSnapshot(`
      "const layer1_key = linear(layer1_attention_norm, gated({ k: 4, epsilon: 0.05 }), {
        weight: matrix("transformer.h.1.attn.c_attn.weight", "f32", [30, 30], { transposed: true, first: 30 }),
        bias: vector("transformer.h.1.attn.c_attn.bias", 30, { first: 30 }),
        bytes: { dense: 4096, fast: 2048, slow: 4096 }, verdict: "gated, as configured" });"
    `);
    expect(lines.slice(-6).join("\n")).toMatchInlineSnapshot(`
      "
      export default model({
        name: "gpt2-f32", family: "gpt2", vocabulary: 97, context: 48,
        config: "../../examples/tiny-gpt2/model.toml",
        fingerprint: "abababababababababababababababababababababababababababababababab" }, logits);
      "
    `);
  });

  test("type-checks under strict TypeScript, with no import unused", async () => {
    const project = new Project({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        noUnusedLocals: true,
        noEmit: true,
        skipLibCheck: true,
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.NodeNext,
        moduleResolution: ts.ModuleResolutionKind.NodeNext,
        types: [],
        paths: { "gsic/graph": [join(packageRoot, "compiler/graph-text/vocabulary.ts")] },
      },
    });
    const folder = join(packageRoot, "compiler/__printed__");
    const plans: readonly Plan[] = [
      ...(await Promise.all(fixtureNames().map((name) => planOf(name, gated)))),
      await planOf("gpt2-f32", dense),
      makePlan(unusual(), { options: gated }),
      makePlan(tiny(["await", "linear", "undefined", "Object", "0"], Array(8).fill(`*/"${placeholder}\n`)), {
        options: gated,
      }),
    ];
    plans.forEach((plan, index) => {
      project.createSourceFile(join(folder, `graph${index}.ts`), printPlan(plan, header));
    });
    const wrong = join(folder, "wrong.ts");
    project.createSourceFile(wrong, printPlan(plans[0]!, header).replace("dense, {", '"dense", {'));
    const found = project
      .getPreEmitDiagnostics()
      .map((one) => [one.getSourceFile()?.getBaseName(), one.getCode()]);
    // Argument of type string is not assignable; and dense is not used any more.
    expect(found).toEqual([
      ["wrong.ts", 6133],
      ["wrong.ts", 2345],
    ]);
  });
});

test("layers that follow from names are not printed, others are", () => {
  expect(["layer12_attention_out", "layer0_x"].map(layerByName)).toEqual([12, 0]);
  const others = ["logits", "layer_1", "layer1_", "xlayer1_a", "layer1", "layer1234567_a"];
  expect(others.map(layerByName)).toEqual(others.map(() => null));
  const print = (graph: Graph) => printPlan(makePlan(graph, { options: dense }), header);
  const text = print(tiny(["layer3_a", "b", "c", "d", "e"], Array(6).fill("t")));
  expect(text).toContain(
    'const layer3_a = embedding("token", matrix("t", "f32", [9, 8]), { layer: "none" });',
  );
  expect(print(unusual())).toContain("layer: 1 });");
  expect(text.match(/layer:/g)).toHaveLength(1);
});

test("literals show what cannot be seen", () => {
  expect(quote("a b")).toBe('"a b"');
  expect(quote("\u202e\u00a0é")).toBe('"\\u{202e}\\u{a0}é"');
});

const table = (tensor: string, out: number, d: number) =>
  ({ tensor, dtype: "f32", out, d, transposed: false, first: 0 }) as const;

/** embedding, norm, two linears, a sum; ids and names as given. */
function tiny(ids: readonly string[], names: readonly string[]): Graph {
  const [a, b, c, d, e] = ids as [string, string, string, string, string];
  const nodes: Node[] = [
    {
      kind: "embedding",
      id: a,
      layer: null,
      index: "token",
      table: table(names[0]!, 9, 8),
      offset: 0,
      scale: 1,
    },
    {
      kind: "norm",
      id: b,
      layer: null,
      input: a,
      method: "rms",
      heads: 1,
      gain: { tensor: names[1]!, length: 8, first: 0 },
      bias: null,
      epsilon: 1e-6,
    },
    {
      kind: "linear",
      id: c,
      layer: null,
      input: b,
      weight: table(names[2]!, 8, 8),
      bias: { tensor: names[3]!, length: 8, first: 0 },
    },
    { kind: "add", id: d, layer: null, left: a, right: c },
    { kind: "linear", id: e, layer: null, input: d, weight: table(names[0]!, 9, 8), bias: null },
  ];
  return { name: names[4]!, family: names[5]!, vocabulary: 9, context: 16, nodes, output: e };
}

/** Every kind of node, with every optional property away from its default. */
function unusual(): Graph {
  const part = (out: number, first: number) => ({ ...table("fused", out, 8), transposed: true, first });
  const shape = { headDim: 80, rotaryDim: 64, theta: 1e6, pairing: "adjacent" } as const;
  const divisors = Array.from({ length: 32 }, (_, index) => Math.fround(1 + index / 7));
  const vector = { tensor: "v", length: 4, first: 3 };
  const nodes: Node[] = [
    {
      kind: "embedding",
      id: "positions",
      layer: null,
      index: "position",
      table: { ...table("e", 18, 8), dtype: "q8_0" },
      offset: 2,
      scale: 3.5,
    },
    {
      kind: "norm",
      id: "layer0_n",
      layer: 0,
      input: "positions",
      method: "layer",
      heads: 2,
      gain: { ...vector, plus: 1 },
      bias: vector,
      epsilon: 1e-12,
    },
    {
      kind: "linear",
      id: "layer0_q",
      layer: 0,
      input: "layer0_n",
      weight: part(160, 0),
      bias: { ...vector, length: 160 },
    },
    {
      kind: "linear",
      id: "layer0_k",
      layer: 0,
      input: "layer0_n",
      weight: { ...part(80, 160), coded: 96 },
      bias: null,
    },
    {
      kind: "linear",
      id: "layer0_v",
      layer: 0,
      input: "layer0_n",
      weight: roundedMatrix(part(80, 240), "iq4_nl"),
      bias: null,
    },
    {
      kind: "rope",
      id: "layer0_qr",
      layer: 0,
      input: "layer0_q",
      heads: 2,
      ...shape,
      scaling: { kind: "linear", factor: 2 },
    },
    {
      kind: "rope",
      id: "layer0_kr",
      layer: 0,
      input: "layer0_k",
      heads: 1,
      ...shape,
      scaling: { kind: "divisors", divisors },
    },
    {
      kind: "rope",
      id: "layer0_krr",
      layer: 0,
      input: "layer0_kr",
      heads: 1,
      ...shape,
      scaling: { kind: "longrope", divisors, attentionFactor: 1.1902380714238083 },
    },
    {
      kind: "attention",
      id: "layer0_a",
      layer: 0,
      query: "layer0_qr",
      key: "layer0_krr",
      value: "layer0_v",
      heads: 2,
      kvHeads: 1,
      headDim: 80,
      scale: -0.1,
      window: 7,
      cache: "int8",
    },
    { kind: "activation", id: "rope_scaling", layer: 1, input: "layer0_a", function: "gelu" },
    { kind: "multiply", id: "layer1_m", layer: 1, left: "rope_scaling", right: "layer0_q" },
    { kind: "linear", id: "logits", layer: null, input: "layer1_m", weight: table("h", 9, 160), bias: null },
  ];
  return { name: "unusual", family: "none", vocabulary: 9, context: 16, nodes, output: "logits" };
}
