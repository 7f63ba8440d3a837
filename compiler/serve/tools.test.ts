/** Tools by OpenAI's own client. The model is tiny and writes stories, so what it must say is forced. */

import type OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBuild } from "../build-folder/open.js";
import { chatTemplateOf } from "../chat.js";
import { load, type Model } from "../load.js";
import { buildTiny, type TinyBuild, tinyToolTemplate } from "../testing/tiny.js";
import { clientOf, listen, post } from "./server-testing.js";

const name = "tiny-gpt2";
let built: TinyBuild;
let model: Model;
let base: string;
let openai: OpenAI;

beforeAll(async () => {
  built = await buildTiny({ chat: tinyToolTemplate });
  model = await load(built.bundle, { threads: 1 });
  base = await listen(model, { chat: chatTemplateOf(openBuild(built.folder)), closeWith: afterAll });
  openai = clientOf(base);
});

afterAll(() => {
  model?.dispose();
  built?.remove();
});

const digit = { type: "integer", minimum: 0, maximum: 9 };
const parameters = { type: "object", properties: { a: digit, b: digit }, required: ["a", "b"] };
const messages = [{ role: "user" as const, content: "Add" }];
const tools = [
  { type: "function" as const, function: { name: "add", description: "adds", parameters } },
  { type: "function" as const, function: { name: "rest", parameters: { type: "object", properties: {} } } },
];

/** The only call of a message. */
function callOf({ tool_calls: calls }: OpenAI.ChatCompletionMessage) {
  expect(calls).toHaveLength(1);
  const [call] = calls!;
  if (call!.type !== "function") throw new Error("no function");
  return call!;
}

test("a call is forced, and its answer goes through the template", async () => {
  const request = { model: name, messages, tools, tool_choice: "required" as const, seed: 1 };
  const answer = await openai.chat.completions.create({ ...request, parallel_tool_calls: false });
  const { message, finish_reason: reason } = answer.choices[0]!;
  expect({ reason, content: message.content }).toEqual({ reason: "tool_calls", content: null });
  const call = callOf(message);
  expect(["add", "rest"]).toContain(call.function.name);
  const again = await openai.chat.completions.create({
    model: name,
    messages: [...messages, message, { role: "tool", tool_call_id: call.id, content: "7" }],
    tools,
    max_tokens: 5,
    temperature: 0,
  });
  const { name: called, arguments: given } = call.function;
  const prompt = `add rest <tool_call> user: Add assistant: <tool_call>${called} ${given}</tool_call> tool: 7 Once`;
  expect(again.usage!.prompt_tokens).toBe((await model.encode(prompt)).length);
});

test("a named tool is called by its schema at every seed, streamed as whole calls", async () => {
  const choice = { type: "function" as const, function: { name: "add" } };
  for (const seed of [1, 2, 3]) {
    const request = { model: name, messages, tools, tool_choice: choice, seed, temperature: 2 };
    const whole = await openai.chat.completions.create(request);
    const call = callOf(whole.choices[0]!.message);
    const { a, b } = JSON.parse(call.function.arguments) as { a: number; b: number };
    for (const one of [a, b]) expect(one >= 0 && one <= 9 && Number.isInteger(one)).toBe(true);
    const stream = openai.chat.completions.stream({ ...request, stream: true });
    const streamed = callOf((await stream.finalChatCompletion()).choices[0]!.message);
    expect(streamed.function.name).toBe("add");
    expect(streamed.function.arguments).toBe(call.function.arguments);
  }
});

test("strict tools leave other text free; none are told of where none may be called", async () => {
  const strict = tools.map((tool) => ({ ...tool, function: { ...tool.function, strict: true } }));
  const request = { model: name, messages, max_tokens: 20, temperature: 0 };
  const free = await openai.chat.completions.create({ ...request, tools: strict });
  expect(free.choices[0]!.message.content).not.toBe("");
  const plain = await openai.chat.completions.create(request);
  const without = await openai.chat.completions.create({ ...request, tools, tool_choice: "none" });
  expect(without.choices).toEqual(plain.choices);
  expect(without.usage!.prompt_tokens).toBe(plain.usage!.prompt_tokens);
});

test.each([
  [{ tool_choice: "required" }, "tool_choice", /needs tools/],
  [{ tools, tool_choice: { type: "function", function: { name: "sub" } } }, "tool_choice", /no tool "sub"/],
  [{ tools, response_format: { type: "json_object" } }, "response_format", /with tools/],
  [{ messages: [{ role: "assistant" }] }, "messages.0.content", /has no content/],
  [
    {
      messages: [
        {
          role: "assistant",
          tool_calls: [{ id: "1", type: "function", function: { name: "add", arguments: "{" } }],
        },
      ],
    },
    "messages.0.tool_calls",
    /no JSON/,
  ],
])("%j is refused", async (wrong, param, message) => {
  expect(await post(base, "/v1/chat/completions", { model: name, messages, ...wrong })).toMatchObject({
    status: 400,
    body: { error: { param, message: expect.stringMatching(message) } },
  });
});
