import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type ChatMessage, ChatTemplate } from "./chat.js";
import { readChatTemplate, requireEnding } from "./read/chat-template.js";
import { temporaryFolder } from "./testing/fixtures.js";

/** A model folder that holds these files. */
async function modelFolder(files: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = join(await temporaryFolder(), "model");
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  return folder;
}

const messages: readonly ChatMessage[] = [
  { role: "system", content: "Be short." },
  { role: "user", content: "Hello" },
];

describe("the chat template of a model's files", () => {
  test("is that of tokenizer_config.json, with the special tokens that it may name", async () => {
    const folder = await modelFolder({
      "tokenizer_config.json": {
        bos_token: { content: "<s>", special: true },
        eos_token: "</s>",
        chat_template: "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}",
      },
      "special_tokens_map.json": { bos_token: "<other>", unk_token: "<unk>" },
      "generation_config.json": { eos_token_id: [2, 7, -1, "x"] },
    });
    const found = await readChatTemplate(folder);
    expect(found).toMatchObject({
      tokens: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
      endIds: [2, 7],
    });
    const template = new ChatTemplate(found!.template, found!.tokens, found!.endIds);
    expect(await template.render(messages)).toBe("<s>[system]Be short.[user]Hello");
    expect([...template.endIds]).toEqual([2, 7]);
  });

  test("is chat_template.jinja's first, and the default one of several", async () => {
    const several = [
      { name: "tool_use", template: "tools" },
      { name: "default", template: "plain" },
    ];
    const config = { chat_template: several };
    expect(await readChatTemplate(await modelFolder({ "tokenizer_config.json": config }))).toMatchObject({
      template: "plain",
    });
    const both = await modelFolder({ "tokenizer_config.json": config, "chat_template.jinja": "alone" });
    expect(await readChatTemplate(both)).toMatchObject({ template: "alone", tokens: {}, endIds: [] });
  });

  test("is the GGUF file's, with the names of its special tokens", async () => {
    const metadata = new Map<string, unknown>([
      ["tokenizer.chat_template", "{{ eos_token }}"],
      ["tokenizer.ggml.tokens", ["a", "<end>"]],
      ["tokenizer.ggml.eos_token_id", 1],
      ["tokenizer.ggml.eot_token_id", 0],
    ]);
    const found = await readChatTemplate({ file: "m.gguf", metadata });
    expect(found).toEqual({ template: "{{ eos_token }}", tokens: { eos_token: "<end>" }, endIds: [0] });
    expect(await readChatTemplate({ file: "m.gguf", metadata: new Map() })).toBeNull();
  });

  test("is null where there is none, and refused where it is no text", async () => {
    expect(await readChatTemplate(await modelFolder({ "tokenizer_config.json": {} }))).toBeNull();
    const odd = await modelFolder({ "tokenizer_config.json": { chat_template: 5 } });
    await expect(readChatTemplate(odd)).rejects.toMatchObject({ code: "tokenizer-malformed" });
  });
});

test("messages that the template refuses are refused with its reason", async () => {
  const template = new ChatTemplate("{{ raise_exception('no system message') }}", {}, []);
  await expect(template.render(messages)).rejects.toThrow(/no system message/);
  expect(() => new ChatTemplate("{% for %}", {}, [])).toThrow();
});

describe("a template that takes too much", () => {
  const limits = { milliseconds: 3000, memory: 32, length: 1000 };
  const endless = "{% for i in range(1000000000) %}{% endfor %}";
  const large =
    "{% set ns = namespace(a='0123456789') %}{% for i in range(40) %}{% set ns.a = ns.a + ns.a %}{% endfor %}";
  const cases: readonly [string, RegExp][] = [
    [
      `{% for i in range(30) %}{% for j in range(100000) %}{% endfor %}{% endfor %}${endless}`,
      /did not end within 3 s|memory/,
    ],
    [large, /memory|did not end|characters|string length/],
    ["{% for i in range(1001) %}x{% endfor %}", /more than 1000 characters/],
  ];

  test("is ended, and is no trouble to the next conversation", async () => {
    for (const [source, reason] of cases) {
      const guarded = `{% if messages[0].content == 'Hello' %}${source}{% else %}fine{% endif %}`;
      const template = new ChatTemplate(guarded, {}, [], limits);
      const refused = template.render([{ role: "user", content: "Hello" }]);
      const fine = template.render([{ role: "user", content: "other" }]);
      await expect(refused, source).rejects.toMatchObject({
        code: "chat-refused",
        message: expect.stringMatching(reason),
      });
      expect(await fine).toBe("fine");
      await template.close();
    }
  });

  test("is refused when the model is built", async () => {
    const source = (template: string) => ({ template, tokens: {}, endIds: [] });
    await expect(requireEnding(source(endless), "m", limits)).rejects.toMatchObject({
      code: "chat-template-endless",
      where: "m",
    });
    await requireEnding(source("{{ raise_exception('never') }}"), "m", limits);
    await requireEnding(source("{% nonsense %}"), "m", limits);
  });
});
