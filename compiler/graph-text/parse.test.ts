import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sharing } from "../ir/forms.js";
import type { Form } from "../ir/plan.js";
import { verifyPlan } from "../ir/verify.js";
import { accountBytes } from "../passes/account-bytes.js";
import { makePlan } from "../passes/index.js";
import { GsicError } from "../support/errors.js";
import { openFixture } from "../testing/fixtures.js";
import { editedVerdict, type ParsedPlan, parsePlan } from "./parse.js";
import { printPlan } from "./print.js";

// biome-ignore lint/suspicious/noTemplateCurlyInString: it stands for the template syntax of generated code.
const placeholder = "${x}";
const header = { config: "model.toml", fingerprint: "00" };
const plan = await gatedPlan();
const text = printPlan(plan, header);

async function gatedPlan() {
  const { model } = await openFixture("gpt2-f32");
  model.weights.close();
  return makePlan(model.graph, { options: { forms: ["gated"], k: [4], epsilon: [0.1] } });
}

/** `text` with the first `from` after `after` replaced. */
function edit(from: string | RegExp, to: string, after = ""): string {
  const at = text.indexOf(after);
  expect(at).toBeGreaterThanOrEqual(0);
  const edited = text.slice(at).replace(from, to);
  expect(edited).not.toBe(text.slice(at));
  return text.slice(0, at) + edited;
}

/** The error of a text: code and place; the place is also given as what stands there. */
async function errorOf(broken: string): Promise<{ code: string; at: string; error: GsicError }> {
  const error = await parsePlan("/x/graph.ts", broken).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GsicError)) throw new Error(`no GsicError, but ${String(error)}`, { cause: error });
  expect(error.category).toBe("usage");
  expect(error.hint).toBeTruthy();
  const [, line, column] = /^\/x\/graph\.ts:(\d+):(\d+)$/.exec(error.where ?? "") ?? [];
  return { code: error.code, at: broken.split("\n")[Number(line) - 1]!.slice(Number(column) - 1), error };
}

describe("an edited form", () => {
  const formOf = async (edited: string, id: string) => {
    const parsed = await parsePlan("graph.ts", edited);
    verifyPlan(parsed.plan, "parse");
    expect(accountBytes(parsed.plan)).toEqual(parsed.plan);
    const { form, bytes, verdict } = parsed.plan.linears.get(id)!;
    const group = parsed.plan.groups.find(({ linears }) => linears.includes(id))!;
    const gate = sharing(parsed.plan, group).subspace;
    return {
      form,
      bytes,
      verdict,
      gate,
      changed: [...parsed.plan.linears.values()].filter((one) => one.verdict === editedVerdict),
    };
  };

  test("from gated to dense, and back", async () => {
    const edited = edit("gated({ k: 4, epsilon: 0.1 })", "dense", "const layer0_down ");
    const { form, bytes, gate, changed } = await formOf(edited, "layer0_down");
    expect({ form, gate }).toEqual({ form: { gate: null, tier: null }, gate: null });
    expect(bytes.fast).toBe(bytes.dense);
    expect(changed.map(({ linear }) => linear)).toEqual(["layer0_down"]);
    const back = await parsePlan("graph.ts", text);
    expect(back.plan).toEqual(plan);
  });

  test("of another k, in a group by way of a constant", async () => {
    const shared = text
      .replace("// input", "const cheap = gated({ k: 7, epsilon: 1 });\n\n// input")
      .replace(
        /(const layer1_(?:query|key|value) = linear\(layer1_attention_norm, )gated\(\{.*?\}\)/g,
        "$1cheap",
      );
    const form: Form = { gate: { k: 7, epsilon: 1 }, tier: null };
    for (const id of ["layer1_query", "layer1_key", "layer1_value"]) {
      const found = await formOf(shared, id);
      expect(found).toMatchObject({ form, gate: { k: 7, epsilon: 1 }, verdict: editedVerdict });
      expect(found.changed).toHaveLength(3);
    }
  });

  test("bytes and verdict may be left out", async () => {
    const bare = text.replace(/,\s+bytes: (\{.*?\}|[\d_]+),\s+verdict: ".*?" \}/g, " }");
    expect(bare).not.toContain("verdict:");
    const parsed = await parsePlan("graph.ts", bare);
    expect(parsed.plan.groups).toEqual(plan.groups);
    expect(parsed.plan.linears.get("logits")!.bytes).toEqual(plan.linears.get("logits")!.bytes);
  });

  test("a value may be renamed, aliased, and its id kept", async () => {
    const renamed = text
      .replaceAll(/\blayer0_up\b/g, "wide")
      .replace("const layer1_down", "const alias = layer1_activation;\nconst layer1_down")
      .replace("linear(layer1_activation,", "linear(alias,");
    expect((await parsePlan("g", renamed)).plan.linears.has("wide")).toBe(true);
    const kept = renamed.replace(/(const wide = linear\(.*\{\n)/, '$1 "id": "layer0_up" as const,');
    expect((await parsePlan("g", kept)).plan).toEqual(plan);
  });
});

describe("errors name the place", () => {
  const key = "const layer0_key ";
  const down = "const layer0_down ";
  const gated = "gated({ k: 4, epsilon: 0.1 })";
  const cases: readonly (readonly [name: string, text: string, code: string, at: string | RegExp])[] = [
    ["syntax", edit("linear(", "linear((", down), "graph-syntax", /^;|^const|^\)/],
    ["an unknown function", edit("linear(", "liner(", down), "graph-unknown-function", "liner("],
    ["an unknown form", edit("gated(", "gate(", down), "graph-unknown-function", "gate("],
    ["a function elsewhere", edit("matrix(", "vector(", down), "graph-unknown-function", "vector("],
    ["no weight", edit(/weight: matrix\(.*?\), /, "", "const logits "), "graph-missing-property", "{"],
    ["a missing k", edit("k: 4, ", "", down), "graph-missing-property", "{ epsilon"],
    ["an unknown property", edit("weight:", "wieght:", down), "graph-unknown-property", "wieght"],
    [
      "a property given twice",
      edit("weight:", "bias: 1, weight:", down),
      "graph-duplicate-property",
      "bias: vector",
    ],
    ["a wrong type", edit(/bytes: \{.*?\}/, 'bytes: "many"', down), "graph-wrong-type", '"many"'],
    ["a string for a number", edit("k: 4", 'k: "4"', down), "graph-wrong-type", '"4"'],
    ["an unknown type", edit('"f32"', '"f33"', down), "graph-wrong-type", '"f33"'],
    ["a shape of three", edit(/\[\d+, /, "[1, 2, ", down), "graph-wrong-type", "[1, 2, "],
    ["a fractional shape", edit(/\[\d+, /, "[1.5, ", down), "graph-wrong-type", "1.5, "],
    [
      "an unknown value",
      edit("layer0_activation", "layer0_activaton", down),
      "graph-unknown-value",
      "layer0_activaton",
    ],
    [
      "use before definition",
      edit("layer0_activation", "layer1_down", down),
      "graph-use-before-definition",
      "layer1_down",
    ],
    [
      "a value of itself",
      edit("layer0_activation", "layer0_down", down),
      "graph-use-before-definition",
      "layer0_down,",
    ],
    ["a number for a value", edit("layer0_activation", "4", down), "graph-wrong-type", "4, gated"],
    ["one constant twice", edit(down, "const layer0_up ", down), "graph-duplicate-id", "layer0_up ="],
    ["one id twice", edit("{\n", '{ id: "layer0_up",\n', down), "graph-duplicate-id", "layer0_down ="],
    ["k of zero", edit("k: 4", "k: 0", down), "graph-k-range", "0, epsilon"],
    ["a negative k", edit("k: 4", "k: -4", down), "graph-k-range", "-4, epsilon"],
    ["a fractional k", edit("k: 4", "k: 4.5", down), "graph-k-range", "4.5"],
    ["k of d", edit("k: 4", "k: 30", key), "graph-k-range", "30"],
    ["epsilon of zero", edit("epsilon: 0.1", "epsilon: 0", down), "graph-epsilon-range", "0 })"],
    ["epsilon above one", edit("epsilon: 0.1", "epsilon: 1.01", down), "graph-epsilon-range", "1.01"],
    ["gates of another k", edit("k: 4", "k: 5", key), "graph-forms-differ", "gated({ k: 5"],
    [
      "gates of another epsilon",
      edit("epsilon: 0.1", "epsilon: 0.2", key),
      "graph-forms-differ",
      "gated({ k: 4",
    ],
    ["a gate in a dense group", edit(gated, "dense", key), "graph-forms-differ", "dense, {"],
    [
      "too few arguments",
      edit("add(layer0_attention_residual, layer0_down)", "add(layer0_down)"),
      "graph-arguments",
      "add(",
    ],
    [
      "too many arguments",
      edit("layer0_up, ", "layer0_up, 1, {}, ", "const layer0_activation "),
      "graph-arguments",
      '"gelu_tanh"',
    ],
    [
      "a superfluous argument",
      edit('"gelu_tanh"', '"gelu_tanh", {}, 3', "const layer0_activation "),
      "graph-arguments",
      "3)",
    ],
    ["an unknown activation", edit('"gelu_tanh"', '"gelo"'), "graph-wrong-type", '"gelo"'],
    [
      "a width that does not fit",
      edit(/\[30, 120\]/, "[30, 121]", down),
      "graph-inconsistent",
      "layer0_down =",
    ],
    ["another vocabulary", edit(/vocabulary: \d+/, "vocabulary: 5"), "graph-inconsistent", "export default"],
    [
      "an output that is no linear",
      edit(" logits);", " final_norm);"),
      "graph-inconsistent",
      "export default",
    ],
    ["no model", text.slice(0, text.indexOf("export default")), "graph-model", "// "],
    ["two models", `${text}${text.slice(text.indexOf("export default"))}`, "graph-model", "export default"],
    ["another default export", edit("default model(", "default add("), "graph-unknown-function", "add("],
    [
      "a default export that is a number",
      `${text.slice(0, text.indexOf("export default"))}export default 3;`,
      "graph-model",
      "3;",
    ],
    ["code", `${text}process.exit(1);`, "graph-statement", "process"],
    ["a variable", edit("const layer0_down", "let layer0_down"), "graph-statement", "let layer0_down"],
    ["another import", `import "node:fs";\n${text}`, "graph-statement", '"node:fs"'],
    [
      "a template with an expression",
      edit(/"transformer/, `\`${placeholder}\` + "transformer`, down),
      "graph-expression",
      `\`${placeholder}`,
    ],
    ["a member call", edit("linear(", "graph.linear(", down), "graph-expression", "graph."],
    ["a spread", edit("weight:", "...{}, weight:", down), "graph-expression", "...{}"],
    ["a getter", edit("weight:", "get weight() { return 1 }, x:", down), "graph-expression", "get weight"],
    [
      "constants that name each other",
      `const a = b; const b = a;\n${text}`,
      "graph-use-before-definition",
      "b; const b",
    ],
  ];
  for (const [name, broken, code, at] of cases) {
    test(name, async () => {
      const found = await errorOf(broken);
      expect(found.code, found.error.message).toBe(code);
      if (typeof at === "string") expect(found.at.slice(0, at.length)).toBe(at);
      else expect(found.at).toMatch(at);
    });
  }

  test("with the nearest name", async () => {
    expect((await errorOf(edit("linear(", "liner(", down))).error.hint).toContain("did you mean linear?");
    expect((await errorOf(edit("weight:", "wieght:", down))).error.hint).toContain("did you mean weight?");
    expect((await errorOf(edit("layer0_activation", "layer0_activaton", down))).error.hint).toContain(
      "layer0_activation?",
    );
  });

  test("whatever is cut out or put in: a plan, or an error with a place", async () => {
    const pieces = fc.constantFrom(
      "",
      "(",
      "}",
      ",",
      "0",
      "-1",
      '"x"',
      "dense",
      "layer0_up",
      "[]",
      "{}",
      " as never",
      "\n",
      "...",
    );
    const span = fc.tuple(fc.nat(text.length), fc.nat(30), pieces);
    await fc.assert(
      fc.asyncProperty(span, async ([start, length, piece]) => {
        const broken = text.slice(0, start) + piece + text.slice(start + length);
        const found = await parsePlan("/x/graph.ts", broken).catch((thrown: unknown) => thrown);
        if (!(found instanceof GsicError)) {
          verifyPlan((found as ParsedPlan).plan, "parse");
          return;
        }
        expect(found.category).toBe("usage");
        expect(found.code).toMatch(/^graph-/);
        const [, line] = /^\/x\/graph\.ts:(\d+):\d+$/.exec(found.where ?? "") ?? [];
        expect(Number(line)).toBeLessThanOrEqual(broken.split("\n").length);
      }),
      { numRuns: 300 },
    );
  });

  test("nesting without end is refused", async () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    const error = await parsePlan("deep.ts", `const a = ${deep};`).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "graph-syntax" });
  });

  test("objects have no prototype to fall through to", async () => {
    for (const name of ["__proto__", "constructor", "toString"]) {
      const called = await errorOf(edit("linear(", `${name}(`, down));
      expect(called.code).toBe("graph-unknown-function");
      expect((await errorOf(edit("weight:", `${name}: 1, weight:`, down))).code).toBe(
        "graph-unknown-property",
      );
      expect((await errorOf(edit("layer0_activation", name, down))).code).toBe("graph-unknown-value");
    }
  });
});
