import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { onnx } from "onnx-proto";
import { describe, expect, test } from "vitest";
import { kindOf } from "../ir/forms.js";
import type { Plan } from "../ir/plan.js";
import { inputsOf } from "../ir/walk.js";
import { bytesPerToken } from "../passes/cost.js";
import { makePlan } from "../passes/index.js";
import { fixtureNames, openFixture, temporaryFolder } from "../testing/fixtures.js";
import { onnxModel } from "./onnx.js";

/** The model as the whole of onnx.proto, compiled by others, reads it. */
function decoded(plan: Plan): onnx.IModelProto {
  return onnx.ModelProto.decode(onnxModel(plan));
}

async function planOf(fixture: string, options: Parameters<typeof makePlan>[1]["options"]): Promise<Plan> {
  const { model } = await openFixture(fixture);
  model.weights.close();
  return makePlan(model.graph, { options });
}

const forms = { k: [16], epsilon: [0.1] };
const families = fixtureNames().filter((name) => !name.includes("gguf"));

/** A Python that has the package onnx; see `npm run test:onnx`. */
const python = process.env.GSIC_ONNX_PYTHON;

test.skipIf(python === undefined)(
  `ONNX's own checker accepts a plan of every family${python === undefined ? " (skipped: npm run test:onnx)" : ""}`,
  async () => {
    const folder = await temporaryFolder();
    for (const fixture of families) {
      const plan = await planOf(fixture, { forms: ["gated"], ...forms });
      await writeFile(join(folder, `${fixture}.onnx`), onnxModel(plan));
    }
    const code =
      "import glob, onnx, sys\n" +
      "for path in sorted(glob.glob(sys.argv[1] + '/*.onnx')):\n" +
      "    model = onnx.load(path)\n" +
      "    onnx.checker.check_model(model)\n" +
      "    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)\n" +
      "    print(path)\n";
    const checked = execFileSync(python!, ["-c", code, folder], { encoding: "utf8" });
    expect(checked.trim().split("\n")).toHaveLength(families.length);
  },
);

describe("a plan as an ONNX model", () => {
  test.each(families)("%s: every node, its inputs and its types are there", async (fixture) => {
    const plan = await planOf(fixture, { forms: ["dense"], ...forms });
    const { graph, opsetImport } = decoded(plan);
    expect(opsetImport!.map(({ domain }) => domain)).toEqual(["", "gsic"]);
    expect(graph!.node!.map(({ name }) => name)).toEqual(plan.graph.nodes.map(({ id }) => id));
    const names = [...graph!.input!, ...graph!.valueInfo!, ...graph!.output!].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const inputs = new Set(graph!.input!.map(({ name }) => name!));
    plan.graph.nodes.forEach((node, index) => {
      const { input, output, domain, opType } = graph!.node![index]!;
      if (node.kind === "embedding") expect(inputs).toContain(input![0]);
      else expect(input).toEqual(inputsOf(node));
      expect(output).toEqual([node.id]);
      expect(domain).toBe(["Add", "Mul"].includes(opType!) ? "" : "gsic");
    });
    const typed = [...graph!.valueInfo!, ...graph!.output!].map(({ name }) => name);
    expect(typed).toEqual(plan.graph.nodes.map(({ id }) => id));
    const [tokens, vocabulary] = graph!.output![0]!.type!.tensorType!.shape!.dim!;
    expect(tokens!.dimParam).toBe("tokens");
    expect(Number(vocabulary!.dimValue)).toBe(plan.graph.vocabulary);
  });

  test("linears carry their form, k and bytes", async () => {
    const plan = await planOf("llama-bf16", { forms: ["gated"], ...forms });
    const { graph } = decoded(plan);
    const gated = graph!.node!.filter(({ opType }) => opType === "Gated");
    expect(gated).toHaveLength(
      [...plan.linears.values()].filter(({ form }) => kindOf(form) === "gated").length,
    );
    const number = (node: onnx.INodeProto, name: string) => {
      const { i, type } = node.attribute!.find((attribute) => attribute.name === name)!;
      expect(type).toBe(onnx.AttributeProto.AttributeType.INT);
      return Number(i);
    };
    for (const node of gated) expect(number(node, "k")).toBe(16);
    const linears = graph!.node!.filter(({ opType }) => ["Gated", "Dense"].includes(opType!));
    const total = (name: string) => linears.reduce((sum, node) => sum + number(node, name), 0);
    const { dense, fast, slow } = bytesPerToken(plan);
    expect([total("bytes_dense"), total("bytes"), total("bytes_slow")]).toEqual([dense, fast, slow]);
    expect(gated[0]!.docString).toBe(plan.linears.get(gated[0]!.name!)!.verdict);
  });
});
