import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";

import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cacheFolder, packageRoot } from "../support/paths.js";
import { CommandLine } from "../testing/cli.js";
import { fixturesFolder } from "../testing/fixtures.js";
import { tinyChatTemplate } from "../testing/tiny.js";

const work = mkdtempSync(join(tmpdir(), "gsic-model-"));
const model = join(work, "tiny model");
let gsic: CommandLine;
/** Objects are those of other tests; builds of models are this test's own. */
const cache = join(work, "cache");
const env = { GSIC_CACHE: cache };

beforeAll(() => {
  gsic = new CommandLine();
  mkdirSync(cache);
  mkdirSync(join(cacheFolder(), "objects"), { recursive: true });
  symlinkSync(join(cacheFolder(), "objects"), join(cache, "objects"));
  cpSync(join(packageRoot, "examples/tiny-gpt2/model"), model, { recursive: true });
});

afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

interface RunJson {
  readonly mode: string;
  readonly ids: readonly number[];
  readonly text: string;
}

test("a folder of a model runs without model.toml: built once, in exact mode, and again when its files change", async () => {
  const run = (text: string) => gsic.run(["run", model, text, "--tokens", "12", "--json"], { env });
  const first = await run("Once upon");
  expect(first, first.stderr).toMatchObject({ code: 0 });
  expect(first.stderr).toMatch(/Compiling \d+ kernels/);
  expect(first.stderr).toContain(join(cache, "models"));
  const said = JSON.parse(first.stdout) as RunJson;
  expect(said).toMatchObject({ mode: "exact" });
  expect(said.ids).toHaveLength(12);

  const second = await run("Once upon");
  expect(second).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(second.stdout)).toMatchObject({ ids: said.ids, text: said.text });

  const read = await gsic.run(["run", model, "-", "--tokens", "12", "--json"], { env, input: "Once upon" });
  expect(JSON.parse(read.stdout)).toMatchObject({ text: said.text });
  const beyond = await gsic.run(["run", model, "--ids", "1,2048"], { env });
  expect(beyond).toMatchObject({ code: 2, stdout: "" });
  expect(beyond.stderr).toContain("no token of id 2048; ids of this model go from 0 to 2047");

  appendFileSync(join(model, "config.json"), "\n");
  symlinkSync(join(work, "nowhere"), join(model, "more.json"));
  const third = await run("Once upon");
  expect(third.stderr).toContain("Packing the weights");
  expect(JSON.parse(third.stdout)).toMatchObject({ ids: said.ids });
});

test("a GGUF file runs, by ids where it has no tokenizer; what is no model is refused as before", async () => {
  const file = join(fixturesFolder, "gpt2-gguf/model.gguf");
  expect(existsSync(file)).toBe(true);
  const run = await gsic.run(["run", file, "--ids", "1,2,3", "--tokens", "4", "--json"], { env });
  expect(run, run.stderr).toMatchObject({ code: 0 });
  expect((JSON.parse(run.stdout) as RunJson).ids).toHaveLength(4);
  for (const [path, code] of [
    [join(work, "nothing.gguf"), "build-missing"],
    [join(file, "below.gguf"), "build-missing"],
    [join(model, "model.safetensors"), "build-missing"],
    [work, "build-missing"],
    ["hf:no slash", "hub-source"],
  ] as const) {
    const refused = await gsic.run(["run", path, "text"], { env });
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(`[${code}]`);
  }
  const twice = await gsic.run(["run", file, "text", "--prompt", "text"], { env });
  expect(twice.stderr).toContain("[prompt-twice]");
  const holds = await gsic.run(["run", dirname(file), "text"], { env });
  expect(holds.stderr).toContain(`name the file itself: ${file}`);
  const nowhere = await gsic.run(["run", file, "--ids", "1"], { env: { GSIC_CACHE: file } });
  expect(nowhere).toMatchObject({ code: 4, stdout: "" });
  expect(nowhere.stderr).toMatch(/^gsic: .*\[cache-unwritable\]/m);
  const homeless = { GSIC_CACHE: "", XDG_CACHE_HOME: "", HOME: "no/absolute/path" };
  const none = await gsic.run(["run", file, "--ids", "1"], { env: homeless });
  expect(none).toMatchObject({ code: 4, stdout: "" });
  expect(none.stderr).toContain("set GSIC_CACHE to a folder");
});

test("an ONNX file runs, and its folder; a change of its weights builds it again", async () => {
  const folder = join(work, "onnx");
  cpSync(join(fixturesFolder, "gpt2-onnx-dynamo"), folder, { recursive: true });
  const run = (path: string) => gsic.run(["run", path, "--ids", "1,2,3", "--tokens", "4", "--json"], { env });
  const first = await run(join(folder, "model.onnx"));
  expect(first, first.stderr).toMatchObject({ code: 0 });
  const second = await run(folder);
  expect(second.stderr).not.toContain("Packing the weights");
  expect(JSON.parse(second.stdout)).toMatchObject({ ids: (JSON.parse(first.stdout) as RunJson).ids });
  rmSync(join(folder, "model.onnx.data"));
  const third = await run(folder);
  expect(third).toMatchObject({ code: 3, stdout: "" });
  expect(third.stderr).toContain('its data lies in "model.onnx.data", which is missing');
});

test("gsic chat answers line by line, from the model's template, and keeps the conversation", async () => {
  const file = join(model, "tokenizer_config.json");
  const config = JSON.parse(readFileSync(file, "utf8")) as object;
  writeFileSync(file, JSON.stringify({ ...config, chat_template: tinyChatTemplate }));
  const talk = async (lines: readonly string[]) => {
    const input = `${lines.join("\n")}\n`;
    const { code, stdout, stderr } = await gsic.run(["chat", model, "--tokens", "8"], { env, input });
    return { code, answers: stdout.split("\n").slice(0, -1), stderr };
  };
  // The template takes three messages: the third line would make five.
  const both = await talk(["The fox", "The hen", "The cow", "/clear", "The fox"]);
  expect(both, both.stderr).toMatchObject({ code: 0 });
  expect(both.answers).toHaveLength(3);
  expect(both.stderr).toContain("[chat-refused]");
  const [first, second, again] = both.answers;
  expect(again).toBe(first);
  expect(second).not.toBe("");
  for (const [option, value, says] of [
    ["--threads", "5000", "more than 1024"],
    ["--top-p", "5", "from 0 to 1"],
    ["--temperature", "1e300", "from 0 to 1000000"],
    ["--top-k", "999999999", "more than 16777216"],
  ] as const) {
    const refused = await gsic.run(["chat", model, option, value], { env, input: "The hen\n" });
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(says);
  }
  const alone = await talk(["The hen"]);
  expect(alone.answers[0]).not.toBe(second);
});
