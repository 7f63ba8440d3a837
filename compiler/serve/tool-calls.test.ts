/** Calls of tools, out of texts that come in any pieces. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { hermesFormat, llamaFormat, type ToolFormat, toolFormatOf } from "./tool-calls.js";

/** What is found in pieces, with calls as name and arguments. */
function read(format: ToolFormat, pieces: readonly string[]) {
  const parser = format.parser();
  const all = [...pieces.map((piece) => parser.push(piece)), parser.rest()];
  const calls = all.flatMap((one) => one.calls);
  expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length);
  return {
    text: all.map(({ text }) => text).join(""),
    calls: calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
  };
}

/** A text cut into pieces, in any way. */
const cut = (text: string) =>
  fc.array(fc.nat(text.length), { maxLength: 8 }).map((places) => {
    const all = [0, ...places.sort((a, b) => a - b), text.length];
    return all.slice(1).map((end, i) => text.slice(all[i], end));
  });

const hermes: [string, string, unknown[]][] = [
  ["plain text, 1 < 2 and <b>", "plain text, 1 < 2 and <b>", []],
  ['<tool_call>\n{"name": "f", "arguments": {"a": "}"}}\n</tool_call>', "", [["f", { a: "}" }]]],
  ['Let me see.\n<tool_call>{"name": "f", "arguments": {}}</tool_call>', "Let me see.\n", [["f", {}]]],
  [
    '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>\n<tool_call>\n{"name": "g"}\n</tool_call>',
    "",
    [
      ["f", { x: 1 }],
      ["g", {}],
    ],
  ],
  [
    '<tool_call>[{"name": "f"}, {"name": "g"}]</tool_call>',
    "",
    [
      ["f", {}],
      ["g", {}],
    ],
  ],
  ['<tool_call>\n{"name": "f", "arguments": {"x": [1]}}', "", [["f", { x: [1] }]]],
  ['<tool_call>{"name": "f"}</tool_call>\n\n So be it.\n', "\n\n So be it.\n", [["f", {}]]],
  ["<tool_call>no JSON</tool_call> and on", "<tool_call>no JSON</tool_call> and on", []],
  ['<tool_call>{"name": 3}</tool_call>', '<tool_call>{"name": 3}</tool_call>', []],
  ["an unfinished <tool_call", "an unfinished <tool_call", []],
  ['<tool_call>{"name": "f", "argu', '<tool_call>{"name": "f", "argu', []],
];

test.each(hermes)("Hermes: %s", (written, text, calls) => {
  fc.assert(
    fc.property(cut(written), (pieces) => {
      expect(read(hermesFormat, pieces)).toEqual({ text, calls });
    }),
    // Every text in two pieces, so that no cut is left to chance.
    { examples: [...written].map((_, at) => [[written.slice(0, at), written.slice(at)]]), numRuns: 300 },
  );
});

const llama: [string, string, unknown[]][] = [
  ['{"name": "f", "parameters": {"a": 1}}', "", [["f", { a: 1 }]]],
  [
    '\n{"name": "f", "parameters": {}}; {"name": "g", "parameters": {"b": "; {"}}',
    "",
    [
      ["f", {}],
      ["g", { b: "; {" }],
    ],
  ],
  ["I do not know.", "I do not know.", []],
  ['{"answer": 3}', '{"answer": 3}', []],
  ['{"name": "f", "param', '{"name": "f", "param', []],
];

test.each(llama)("Llama: %s", (written, text, calls) => {
  fc.assert(
    fc.property(cut(written), (pieces) => {
      expect(read(llamaFormat, pieces)).toEqual({ text, calls });
    }),
  );
});

test("what a call is forced to begin and end with is read back", () => {
  for (const format of [hermesFormat, llamaFormat]) {
    const call = (name: string) => `${format.begin(name)}{"a": "b"}${format.end}`;
    const written = call("f") + format.separator + call("g");
    expect(read(format, [written])).toEqual({
      text: "",
      calls: [
        ["f", { a: "b" }],
        ["g", { a: "b" }],
      ],
    });
  }
});

test("the format is the one that the template teaches", () => {
  expect(toolFormatOf("{% if tools %}<tool_call>{% endif %}")).toBe(hermesFormat);
  expect(toolFormatOf('{% if tools %}{"name": function name, "parameters": dictionary}{% endif %}')).toBe(
    llamaFormat,
  );
  expect(toolFormatOf("{% for m in messages %}{{ m.content }}{% endfor %}")).toBeNull();
  expect(toolFormatOf("{% if tools %}[TOOL_CALLS]{% endif %}")).toBeNull();
});
