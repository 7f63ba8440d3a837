/** Tools that a model may call: what a request says of them, and what it asks of the text. */

import { type Static, Type } from "typebox";
import { badField } from "./errors.js";
import type { GrammarSpec } from "./grammars.js";
import { optional } from "./optional.js";
import type { ToolFormat } from "./tool-calls.js";

const functionName = Type.String({ pattern: "^[a-zA-Z0-9_.-]{1,64}$" });

/** Fields of a chat about tools. */
export const toolFields = {
  tools: optional(
    Type.Array(
      Type.Object({
        type: Type.Literal("function"),
        function: Type.Object({
          name: functionName,
          description: optional(Type.String()),
          parameters: optional(Type.Record(Type.String(), Type.Unknown())),
          strict: optional(Type.Boolean()),
        }),
      }),
      { maxItems: 128 },
    ),
  ),
  tool_choice: optional(
    Type.Union([
      Type.Literal("none"),
      Type.Literal("auto"),
      Type.Literal("required"),
      Type.Object({ type: Type.Literal("function"), function: Type.Object({ name: functionName }) }),
    ]),
  ),
  parallel_tool_calls: optional(Type.Boolean()),
};

const fields = Type.Object(toolFields);
type ToolRequest = Static<typeof fields>;
/** A tool as requests have it. */
type Tool = NonNullable<ToolRequest["tools"]>[number];

/** Tools of a request that are used. */
interface ToolUse {
  readonly tools: readonly Tool[];
  readonly format: ToolFormat;
  /** Whether the text is nothing but calls. */
  readonly forced: boolean;
  /** Whether there is one call at most. */
  readonly one: boolean;
  /** What the text must obey; null: it may call tools. */
  readonly grammar: GrammarSpec | null;
}

/**
 * The tools that a request lets the model call; null: none. `format` is the template's, null where it knows no tools.
 * Throws an `ApiError` 400 for tools that cannot be used, and choices that contradict them.
 */
export function toolUseOf(body: ToolRequest, format: ToolFormat | null): ToolUse | null {
  const { tools, tool_choice: choice } = body;
  const named = typeof choice === "object" && choice !== null ? choice.function.name : null;
  if (tools == null || tools.length === 0) {
    if (choice === "required" || named !== null) throw badField("tool_choice", "tool_choice needs tools");
    return null;
  }
  if (choice === "none") return null;
  if (format === null)
    throw badField("tools", "the model's chat template knows no tools; leave them out", "tools_unsupported");
  const wanted = named === null ? tools : tools.filter((tool) => tool.function.name === named);
  if (wanted.length === 0) throw badField("tool_choice", `there is no tool ${JSON.stringify(named)}`);
  const forced = choice === "required" || named !== null;
  const one = named !== null || body.parallel_tool_calls === false;
  const strict = wanted.some((tool) => tool.function.strict === true);
  const grammar = forced || strict ? callGrammar(wanted, format, { forced, one }) : null;
  return { tools, format, forced, one, grammar };
}

/** Calls of some tools whose arguments are what their schemas say: nothing but calls, or any text with calls in it. */
function callGrammar(
  tools: readonly Tool[],
  format: ToolFormat,
  { forced, one }: { readonly forced: boolean; readonly one: boolean },
): GrammarSpec {
  const free = {
    type: "triggered_tags",
    triggers: [format.trigger],
    tags: tagsOf(tools, format),
    stop_after_first: one,
  };
  return { kind: "tags", param: "tools", format: forced ? callFormat(tools, format, one) : free };
}

/** One or more calls, and nothing else. */
function callFormat(tools: readonly Tool[], format: ToolFormat, one: boolean): object {
  const tags = tagsOf(tools, format);
  const { separator } = format;
  return { type: "tags_with_separator", tags, separator, at_least_one: true, stop_after_first: one };
}

function tagsOf(tools: readonly Tool[], { begin, end }: ToolFormat): object[] {
  return tools.map(({ function: { name, parameters } }) => ({
    type: "tag",
    begin: begin(name),
    content: { type: "json_schema", json_schema: parameters ?? { type: "object" } },
    end,
  }));
}

/** What a text must obey that may be an answer in a format, or a call of a tool. Throws an `ApiError` 400 where both cannot be. */
export function grammarOf(format: GrammarSpec | null, use: ToolUse | null): GrammarSpec | null {
  if (use === null || use.forced || format === null) return use?.grammar ?? format;
  if (format.kind !== "schema" || !format.strict)
    throw badField("response_format", "with tools, response_format must be text or json_schema");
  const answer = { type: "json_schema", json_schema: format.schema };
  return {
    kind: "tags",
    param: "response_format",
    format: { type: "or", elements: [answer, ...tagsOf(use.tools, use.format)] },
  };
}
