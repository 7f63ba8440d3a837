/**
 * Clients in Node against a server of tiny-gpt2, which writes stories: what it must say is forced, by a grammar or by
 * `tool_choice`; what it says freely is only compared with itself. Run by test.mjs, beside their packages.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HumanMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const name = "tiny-gpt2";
const baseURL = `${process.env.GSIC_SERVER}/v1`;

/** Small enough for any text that obeys it to fit the model's context. */
const animal = z.object({
  kind: z.enum(["fox", "bear", "owl"]),
  legs: z.number().int().min(0).max(8),
  awake: z.boolean(),
});
const sum = z.object({ a: z.number().int().min(0).max(9), b: z.number().int().min(0).max(9) });

describe("openai", () => {
  const openai = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
  const messages = [{ role: "user", content: "Add" }];

  test("parses objects by a schema", async () => {
    const request = { model: name, messages, response_format: zodResponseFormat(animal, "animal") };
    for (const seed of [1, 2, 3]) {
      const answer = await openai.chat.completions.parse({ ...request, seed, temperature: 2 });
      animal.parse(answer.choices[0].message.parsed);
    }
  });

  test("runs tools", async () => {
    const ran = [];
    const run = openai.chat.completions.runTools(
      {
        model: name,
        messages,
        tool_choice: { type: "function", function: { name: "add" } },
        tools: [
          {
            type: "function",
            function: {
              name: "add",
              parameters: z.toJSONSchema(sum),
              parse: JSON.parse,
              function: (given) => void ran.push(sum.parse(given)),
            },
          },
        ],
      },
      { maxChatCompletions: 1 },
    );
    await run.done();
    assert.equal(ran.length, 1);
  });
});

describe("AI SDK", () => {
  const options = { name: "gsic", baseURL, supportsStructuredOutputs: true, includeUsage: true };
  const model = createOpenAICompatible(options)(name);

  test("generates and streams objects", async () => {
    const request = { model, schema: animal, prompt: "An animal", seed: 4 };
    const { object } = await generateObject(request);
    animal.parse(object);
    const stream = streamObject(request);
    for await (const _ of stream.partialObjectStream);
    assert.deepEqual(await stream.object, object);
  });

  test("runs tools, and goes on with their results", async () => {
    const ran = [];
    const execute = async (input) => {
      ran.push(input);
      return input.a + input.b;
    };
    const { steps } = await generateText({
      model,
      prompt: "Add",
      tools: { add: tool({ description: "adds", inputSchema: sum, execute }) },
      maxOutputTokens: 100,
      stopWhen: stepCountIs(2),
      prepareStep: ({ stepNumber }) =>
        stepNumber === 0 ? { toolChoice: { type: "tool", toolName: "add" } } : { toolChoice: "none" },
    });
    assert.equal(steps.length, 2);
    assert.equal(ran.length, 1);
    assert.equal(steps[0].toolResults[0].output, ran[0].a + ran[0].b);
    assert.notEqual(steps[1].text, "");
  });

  test("streams text with its usage", async () => {
    const stream = streamText({ model, prompt: "A story", maxOutputTokens: 12, temperature: 0 });
    let text = "";
    for await (const part of stream.textStream) text += part;
    assert.notEqual(text, "");
    assert.equal((await stream.usage).outputTokens, 12);
  });
});

describe("LangChain", () => {
  const chat = (options = {}) =>
    new ChatOpenAI({ model: name, apiKey: "none", configuration: { baseURL }, ...options });

  test("calls tools, and takes their answers", async () => {
    const add = langchainTool(({ a, b }) => String(a + b), {
      name: "add",
      description: "adds",
      schema: sum,
    });
    const question = new HumanMessage("Add");
    const answer = await chat({ maxTokens: 100 }).bindTools([add], { tool_choice: "add" }).invoke([question]);
    const [call] = answer.tool_calls;
    assert.deepEqual(sum.parse(call.args), call.args);
    const result = await add.invoke({ ...call, type: "tool_call" });
    const last = await chat({ maxTokens: 8 }).invoke([question, answer, result]);
    assert.equal(typeof last.content, "string");
  });

  for (const method of ["jsonSchema", "functionCalling"])
    test(`has structured output by ${method}`, async () => {
      const object = await chat().withStructuredOutput(animal, { method }).invoke("An animal");
      assert.deepEqual(animal.parse(object), object);
    });

  test("streams", async () => {
    let text = "";
    for await (const part of await chat({ maxTokens: 10 }).stream("A story")) text += part.content;
    assert.notEqual(text, "");
  });

  test("embeds", async () => {
    const embeddings = new OpenAIEmbeddings({ model: name, apiKey: "none", configuration: { baseURL } });
    const [fox, bear] = await embeddings.embedDocuments(["A fox", "A bear"]);
    assert.equal(fox.length, bear.length);
    assert.ok(Math.abs(Math.hypot(...fox) - 1) < 1e-5);
  });
});
