/** What an answer must be: `response_format`. */

import { type Static, Type } from "typebox";
import type { GrammarSpec } from "./grammars.js";
import { optional } from "./optional.js";

/** The fields of requests about it. */
export const formatFields = {
  response_format: optional(
    Type.Union([
      Type.Object({ type: Type.Literal("text") }),
      Type.Object({ type: Type.Literal("json_object") }),
      Type.Object({
        type: Type.Literal("json_schema"),
        json_schema: Type.Object({
          name: optional(Type.String()),
          description: optional(Type.String()),
          schema: optional(Type.Record(Type.String(), Type.Unknown())),
          strict: optional(Type.Boolean()),
        }),
      }),
      /** Not OpenAI's: a grammar in EBNF whose first rule is `root`. */
      Type.Object({ type: Type.Literal("grammar"), grammar: Type.String({ minLength: 1 }) }),
      /** Not OpenAI's. */
      Type.Object({ type: Type.Literal("regex"), regex: Type.String({ minLength: 1 }) }),
    ]),
  ),
};

const fields = Type.Object(formatFields);

/** The grammar of a request's `response_format`; null: any text. */
export function formatGrammarOf({ response_format: format }: Static<typeof fields>): GrammarSpec | null {
  if (format == null) return null;
  const param = "response_format";
  switch (format.type) {
    case "text":
      return null;
    case "json_object":
      return { param, kind: "schema", schema: { type: "object" }, strict: false };
    case "json_schema":
      return { param, kind: "schema", schema: format.json_schema.schema ?? {}, strict: true };
    case "grammar":
      return { param, kind: "grammar", grammar: format.grammar };
    case "regex":
      return { param, kind: "tags", format: { type: "regex", pattern: format.regex } };
    default:
      return format satisfies never;
  }
}
