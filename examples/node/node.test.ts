/** The examples as their READMEs run them. They import "gsic" from dist/, which `npm test` compiles first. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { load, type Model } from "../../compiler/load.js";
import { packageRoot } from "../../compiler/support/paths.js";
import { start } from "../../compiler/testing/cli.js";
import { buildTiny, type TinyBuild } from "../../compiler/testing/tiny.js";

let built: TinyBuild;
let model: Model;

beforeAll(async () => {
  built = await buildTiny({ chat: true });
  model = await load(built.bundle);
});

afterAll(() => {
  model?.dispose();
  built?.remove();
});

/** Runs an example, which must succeed without a word on standard error; returns what it printed. */
async function run(name: string, ...args: string[]): Promise<string> {
  const options = { cwd: packageRoot };
  const { code, stdout, stderr } = await start(
    process.execPath,
    [`examples/node/${name}.mjs`, ...args],
    options,
  ).outcome;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function expected(prompt: string, tokens: number): Promise<string> {
  let all = "";
  for await (const { text } of model.generate(prompt, { tokens })) all += text;
  return all;
}

test("stream.mjs prints what the model generates", async () => {
  const prompt = "The little fox";
  expect(await run("stream", built.bundle, prompt)).toBe(`${prompt}${await expected(prompt, 60)}\n`);
});

test("together.mjs writes what the model generates for each prompt alone", async () => {
  const prompts = ["Once upon a time", "The little fox", "One day"];
  const stories = await Promise.all(prompts.map(async (one) => `${one}${await expected(one, 20)}\n`));
  expect(await run("together", built.bundle)).toBe(stories.join(""));
});

test("abort.mjs ends after the tokens that it wants", async () => {
  const text = await expected("Once upon a time", 5);
  expect(await run("abort", built.bundle)).toBe(`${text}\nthat is enough: 9 tokens in the session\n`);
});

test("workers.mjs generates in two threads", async () => {
  const prompts = ["Once upon a time", "The little fox"];
  const stories = await Promise.all(prompts.map(async (one) => `${one}${await expected(one, 20)}\n`));
  expect(await run("workers", built.bundle)).toBe(stories.join(""));
});

test("chat.mjs goes through the model's template, with the answers so far", async () => {
  const first = await expected("Hello Once", 40);
  const second = await expected(`Hello ${first} Go on Once`, 40);
  expect(await run("chat", built.folder, "Hello", "Go on")).toBe(`${first}\n${second}\n`);
});
