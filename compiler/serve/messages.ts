/** The messages of a chat: as requests have them, and as templates know them. */

import { type Static, Type } from "typebox";
import type { ChatMessage } from "../chat.js";
import { badField } from "./errors.js";
import { optional } from "./optional.js";

const textPart = Type.Object({ type: Type.Literal("text"), text: Type.String() });

const toolCall = Type.Object({
  id: Type.String(),
  type: Type.Literal("function"),
  function: Type.Object({ name: Type.String(), arguments: Type.String() }),
});

/** Texts, whole or in parts; calls of tools, and what came of them. */
export const messagesSchema = Type.Array(
  Type.Object({
    role: Type.Union(["system", "developer", "user", "assistant", "tool"].map((role) => Type.Literal(role))),
    /** An assistant that calls tools may say nothing. */
    content: optional(Type.Union([Type.String(), Type.Array(textPart)])),
    name: optional(Type.String()),
    tool_calls: optional(Type.Array(toolCall)),
    tool_call_id: optional(Type.String()),
  }),
  { minItems: 1 },
);

/**
 * The messages of a chat as templates know them: content in one piece, instructions from the system, arguments as
 * objects. Throws an `ApiError` 400 for a message without content, and for arguments that are no JSON.
 */
export function messagesOf(messages: Static<typeof messagesSchema>): ChatMessage[] {
  return messages.map(({ role, content, name, tool_calls: calls, tool_call_id: call }, index) => {
    const param = `messages.${index}`;
    if (content == null && (calls == null || calls.length === 0))
      throw badField(`${param}.content`, `${param} has no content`);
    const text = Array.isArray(content) ? content.map((part) => part.text).join("") : (content ?? "");
    return {
      role: (role === "developer" ? "system" : role) as ChatMessage["role"],
      content: text,
      ...(name == null ? {} : { name }),
      ...(call == null ? {} : { tool_call_id: call }),
      ...(calls == null || calls.length === 0
        ? {}
        : { tool_calls: calls.map((one) => parsedCall(one, param)) }),
    };
  });
}

function parsedCall(call: Static<typeof toolCall>, param: string) {
  const { name, arguments: text } = call.function;
  try {
    const parsed = JSON.parse(text === "" ? "{}" : text) as unknown;
    return { ...call, function: { name, arguments: parsed } };
  } catch {
    throw badField(`${param}.tool_calls`, `the arguments of ${JSON.stringify(name)} are no JSON`);
  }
}
