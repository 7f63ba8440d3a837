/** Answers that obey schemas and grammars, whatever the model would rather say. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBuild } from "../build-folder/open.js";
import { chatTemplateOf } from "../chat.js";
import { load, type Model } from "../load.js";
import { buildTiny, type TinyBuild } from "../testing/tiny.js";
import { clientOf, listen, post } from "./server-testing.js";

const name = "tiny-gpt2";
let built: TinyBuild;
let model: Model;
let exact: string;
let lossless: string;

beforeAll(async () => {
  built = await buildTiny({ chat: true, drafts: true });
  model = await load(built.bundle, { threads: 1 });
  const chat = chatTemplateOf(openBuild(built.folder));
  exact = await listen(model, { chat, mode: "exact", closeWith: afterAll });
  lossless = await listen(model, { chat, mode: "lossless", closeWith: afterAll });
});

afterAll(() => {
  model?.dispose();
  built?.remove();
});

const messages = [{ role: "user" as const, content: "A fox" }];

/** The whole answer to a chat. */
async function ask(url: string, format: object, fields: object = {}) {
  const body = { model: name, messages, response_format: format, ...fields };
  return clientOf(url).chat.completions.create(body as never);
}

const textOf = (answer: Awaited<ReturnType<typeof ask>>) => answer.choices[0]!.message.content!;

const schema = {
  type: "object",
  properties: {
    names_of_the_animals: { type: "array", items: { enum: ["fox", "bear"] }, minItems: 1, maxItems: 3 },
    where_they_live: { type: "string", maxLength: 8 },
    how_many_of_them: { type: "integer", minimum: 1, maximum: 5 },
  },
  required: ["names_of_the_animals", "where_they_live", "how_many_of_them"],
};
const format = { type: "json_schema", json_schema: { name: "animals", schema } };

describe("a schema", () => {
  test("is obeyed at every seed, and the text ends with it", async () => {
    for (let seed = 0; seed < 6; seed++) {
      const answer = await ask(exact, format, { seed, temperature: 2 });
      expect(answer.choices[0]!.finish_reason).toBe("stop");
      const value = JSON.parse(textOf(answer));
      expect(Object.keys(value)).toEqual(schema.required);
      expect(value.names_of_the_animals.every((one: string) => ["fox", "bear"].includes(one))).toBe(true);
      // Characters, of which some have two units in JavaScript.
      expect([...value.where_they_live].length).toBeLessThanOrEqual(8);
      expect([1, 2, 3, 4, 5]).toContain(value.how_many_of_them);
    }
  });

  test("gives the same text in mode lossless, where what is forced is proposed", async () => {
    for (const fields of [{ temperature: 0 }, { temperature: 1, seed: 3 }]) {
      const expected = await ask(exact, format, { ...fields, logprobs: true });
      const found = await ask(lossless, format, { ...fields, logprobs: true });
      expect(found.choices).toEqual(expected.choices);
      const { completion_tokens: count, completion_tokens_details: details } = found.usage!;
      // Half of such a text is names and punctuation.
      expect(details!.accepted_prediction_tokens).toBeGreaterThan(count / 3);
    }
  });

  test("of any object is an object", async () => {
    const answer = await ask(exact, { type: "json_object" }, { seed: 2, temperature: 0.5, max_tokens: 150 });
    const text = textOf(answer);
    if (answer.choices[0]!.finish_reason === "stop") expect(typeof JSON.parse(text)).toBe("object");
    else expect(text).toMatch(/^\{/);
  });
});

test("grammars and patterns are obeyed, by completions too", async () => {
  const grammar = 'root ::= ("hip " | "hop ")+ "hooray"';
  const body = { model: name, prompt: "Once", max_tokens: 200, temperature: 1.5, seed: 1 };
  const answer = await post(exact, "/v1/completions", {
    ...body,
    response_format: { type: "grammar", grammar },
  });
  const { text, finish_reason: reason } = (
    answer.body.choices as { text: string; finish_reason: string }[]
  )[0]!;
  if (reason === "stop") expect(text).toMatch(/^(hip |hop )+hooray$/);
  else expect(text).toMatch(/^(hip |hop )+/);
  const regex = { type: "regex", regex: "[a-c]{3}-[0-9]{2}" };
  expect(textOf(await ask(exact, regex, { seed: 5, temperature: 2 }))).toMatch(/^[a-c]{3}-[0-9]{2}$/);
});

test("several choices obey each for itself", async () => {
  const regex = { type: "regex", regex: "(yes|no|perhaps)" };
  const { choices } = await ask(exact, regex, { n: 6, temperature: 2, seed: 1 });
  expect(choices).toHaveLength(6);
  for (const { message } of choices) expect(["yes", "no", "perhaps"]).toContain(message.content);
});

describe("what cannot be compiled is refused with its reason, and harms nobody", () => {
  test.each([
    ["a grammar", { type: "grammar", grammar: 'root ::= "a' }, /cannot be compiled: .*literal/],
    ["a pattern", { type: "regex", regex: "[" }, /cannot be compiled/],
    ["a schema", { type: "json_schema", json_schema: { schema: { type: "fox" } } }, /cannot be compiled/],
  ])("%s", async (_, bad, message) => {
    const running = ask(exact, format, { seed: 1 });
    const body = { model: name, messages, response_format: bad };
    expect(await post(exact, "/v1/chat/completions", body)).toMatchObject({
      status: 400,
      body: {
        error: { param: "response_format", code: "invalid_grammar", message: expect.stringMatching(message) },
      },
    });
    expect(JSON.parse(textOf(await running))).toBeDefined();
  });
});
