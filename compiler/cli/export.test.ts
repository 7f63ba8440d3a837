import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readGguf } from "../read/gguf.js";
import { packageRoot } from "../support/paths.js";
import { CommandLine, start } from "../testing/cli.js";

const work = mkdtempSync(join(tmpdir(), "gsic-export-"));
const example = join(packageRoot, "examples/tiny-gpt2");
const [toml, build] = [join(work, "model.toml"), join(work, "build")];
let gsic: CommandLine;

/** tiny-gpt2 with every linear at 5 bits. */
beforeAll(async () => {
  gsic = new CommandLine();
  const calibration = `[calibration]\ntext = ["${example}/calibration.txt"]\ntokens = 1024\n`;
  const plan = '[quality]\nmode = "bounded"\n[plan]\nforms = ["tiered"]\nbits = [5]\nrank = [0]\n';
  writeFileSync(toml, `[model]\nname = "tiny"\nsource = "${example}/model"\n${calibration}${plan}`);
  const { code, stderr } = await gsic.run(["build", toml, "--out", build]);
  expect(code, stderr).toBe(0);
});

afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

/** The types of the matrices of a file, by how many of its tensors have each. */
async function typesIn(file: string): Promise<Record<string, number>> {
  const types: Record<string, number> = {};
  for (const { dtype, shape } of (await readGguf(file)).tensors.values())
    if (shape.length === 2) types[dtype] = (types[dtype] ?? 0) + 1;
  return types;
}

describe("gsic export", () => {
  test("writes the types of the plan, with tokenizer, statistics and what was done", async () => {
    const file = join(work, "planned.gguf");
    const found = await gsic.json(["export", build, "--gguf", file]);
    // Of 18 matrices the four whose rows are a multiple of 256 have the type of 256 elements; positions are no linear.
    expect(await typesIn(file)).toEqual({ bf16: 1, q5_1: 13, q5_k: 4 });
    expect(found).toMatchObject({ out: file });
    const { metadata } = await readGguf(file);
    expect(metadata.get("general.architecture")).toBe("gpt2");
    expect(metadata.get("gsic.calibration.tokens")).toBe(1024);
    expect(metadata.get("tokenizer.ggml.tokens")).toHaveLength(2048);
    expect(JSON.parse(metadata.get("gsic.types") as string)).toEqual(
      (found as { types: Record<string, number> }).types,
    );
  });

  test("writes the type that is asked for", async () => {
    const file = join(work, "plain.gguf");
    const { code, stdout, stderr } = await gsic.run(["export", build, "--gguf", file, "--type", "f16"]);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/plain\.gguf: \d+ tensors, [\d.]+ MB, 16\.00 bits a weight/);
    expect(await typesIn(file)).toEqual({ f16: 18 });
  });

  test("an export that is interrupted, or was killed, leaves nothing beside the file", async () => {
    const folder = join(work, "interrupted");
    const file = join(folder, "a.gguf");
    mkdirSync(folder);
    const [dead, alive] = [`.a.gguf.${2 ** 30}.abc.tmp`, `.a.gguf.${process.pid}.abc.tmp`];
    for (const name of ["a.gguf", dead, alive]) writeFileSync(join(folder, name), "before");
    const script = `import { writeAtomically } from ${JSON.stringify(gsic.compiled("compiler/read/file.js"))};
      async function* parts() {
        yield new Uint8Array(9);
        console.log("begun");
        await new Promise((done) => setTimeout(done, 60_000));
      }
      await writeAtomically(${JSON.stringify(file)}, parts());`;
    const { child, outcome } = start(process.execPath, ["--input-type=module", "-e", script]);
    await once(child.stdout!, "data");
    expect(readdirSync(folder)).toHaveLength(3);
    child.kill("SIGTERM");
    expect(await outcome).toMatchObject({ code: "SIGTERM", stderr: "" });
    expect(readdirSync(folder).sort()).toEqual([alive, "a.gguf"].sort());
    expect(readFileSync(file, "utf8")).toBe("before");
  });

  test("refuses an unknown type, a missing file name, a place that is not there, and what is no build", async () => {
    // Through a link, so that a defect takes the link's place, and not the device's.
    const device = join(work, "device");
    symlinkSync("/dev/null", device);
    const refusals: readonly (readonly [args: readonly string[], code: number, says: string])[] = [
      [["export", build, "--gguf", join(work, "a.gguf"), "--type", "q4_kk"], 2, "q4_k"],
      [["export", build], 2, "--gguf"],
      [["export", build, "--gguf", join(work, "none/a.gguf")], 4, "none"],
      [["export", work, "--gguf", join(work, "a.gguf")], 2, "build-missing"],
      [
        ["export", join(example, "model"), "--gguf", join(work, "a.gguf")],
        2,
        "this is a model, and no build",
      ],
      [["build", join(example, "model/model.safetensors")], 2, "this is a model, and no model.toml"],
      [["export", build, "--gguf", toml], 2, "output-is-input"],
      [["export", build, "--gguf", join(build, "tiny.gsi")], 2, "output-is-input"],
      [["export", build, "--gguf", work], 2, "output-not-a-file"],
      [["bench", build, "--users", "1", "--launches"], 2, "bench-options"],
      [["inspect", build, "--json", "--dot"], 2, "--json"],
      [["build", toml, "--out", join(work, "other"), "--dump", toml], 4, "dump-unwritable"],
      [["logits", build, "--ids", "1", "--out", join(build, "graph.ts")], 2, "output-is-input"],
      [["logits", build, "--ids", "1", "--out", device], 2, "output-not-a-file"],
    ];
    for (const [args, code, says] of refusals) {
      const outcome = await gsic.run(args);
      expect(outcome.code, outcome.stderr).toBe(code);
      expect(outcome.stderr).toContain(says);
    }
    const env = { TMPDIR: join(work, "none") };
    const nowhere = await gsic.run(["bench", build, "--users", "1"], { env });
    expect(nowhere).toMatchObject({ code: 4, stdout: "" });
    expect(nowhere.stderr).toMatch(/^gsic: there is no place for temporary files.*\[temporary-unwritable\]/m);
    expect(readdirSync(work).filter((name) => name.endsWith("tmp") || name === "a.gguf")).toEqual([]);
    expect(readFileSync(toml, "utf8")).toContain("tiered");
  });
});
