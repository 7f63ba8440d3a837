/** The messages of a chat: as requests have them, and as templates know them. */

import { type Static, Type } from "typebox";
import type { ChatMessage } from "../chat.js";
import { optional } from "./optional.js";

const textPart = Type.Object({ type: Type.Literal("text"), text: Type.String() });

/** Texts, whole or in parts. */
export const messagesSchema = Type.Array(
  Type.Object({
    role: Type.Union(["system", "developer", "user", "assistant"].map((role) => Type.Literal(role))),
    content: Type.Union([Type.String(), Type.Array(textPart)]),
    name: optional(Type.String()),
  }),
  { minItems: 1 },
);

/** The messages of a chat as templates know them: their content in one piece, instructions from the system. */
export function messagesOf(messages: Static<typeof messagesSchema>): ChatMessage[] {
  return messages.map(({ role, content }) => ({
    role: (role === "developer" ? "system" : role) as ChatMessage["role"],
    content: typeof content === "string" ? content : content.map(({ text }) => text).join(""),
  }));
}
