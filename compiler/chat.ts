/** Conversations for built models: what a model's own chat template makes of messages. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Template } from "@huggingface/jinja";
import { type Built, openBuild } from "./build-folder/open.js";
import { buildFiles } from "./config/build-files.js";
import type { Model } from "./load.js";
import { readText } from "./read/file.js";
import { type RenderLimits, renderLimits, TemplateRenderer } from "./read/template-renderer.js";
import { GsicError, messageOf } from "./support/errors.js";
import { LiteralText } from "./support/literal-text.js";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
  readonly name?: string;
  /** Of an assistant: tools that it calls. */
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly type: "function";
    readonly function: { readonly name: string; readonly arguments: unknown };
  }[];
  /** Of a tool: the call that it answers. */
  readonly tool_call_id?: string;
}

const maxBytes = 16 * 2 ** 20;

/** A model's chat template. */
export class ChatTemplate {
  /** Ids that end a turn, beside the end of text. */
  readonly endIds: ReadonlySet<number>;
  /** The template's text. */
  readonly source: string;
  readonly #renderer: TemplateRenderer;
  readonly #tokens: Readonly<Record<string, string>>;

  /**
   * `tokens` are special tokens by the names that the template has for them. Throws what the template language throws.
   * A template is a program: it runs in a thread of its own, within `limits`.
   */
  constructor(
    source: string,
    tokens: Readonly<Record<string, string>>,
    endIds: readonly number[],
    limits: RenderLimits = renderLimits,
  ) {
    // Only parsed here, which ends.
    new Template(source);
    this.source = source;
    this.#renderer = new TemplateRenderer(source, limits);
    this.#tokens = tokens;
    this.endIds = new Set(endIds);
  }

  /**
   * The text of a conversation, with tools that the model may call, as requests of OpenAI's interface have them, up to
   * where the model's next turn begins. Throws `chat-refused` (category usage) if the
   * template does not take these messages, as some refuse a system message, or takes too long for them.
   */
  async render(messages: readonly ChatMessage[], tools: readonly object[] = []): Promise<string> {
    // Templates ask whether there are tools, and some take an empty list for some.
    const more = tools.length > 0 ? { tools } : {};
    try {
      return await this.#renderer.render({ ...this.#tokens, messages, ...more, add_generation_prompt: true });
    } catch (cause) {
      throw new GsicError({
        category: "usage",
        code: "chat-refused",
        message: `the model's chat template does not take these messages: ${messageOf(cause)}`,
        where: "messages",
        hint: "change their roles or their order",
        cause,
      });
    }
  }

  /**
   * `render`, as token ids. The template writes all special tokens itself, so none are put in front, and what looks like
   * one in a message or a tool stays text. Throws as `render`, and the signal's reason.
   */
  async encode(
    model: Pick<Model, "encode" | "specialTexts">,
    messages: readonly ChatMessage[],
    {
      signal,
      tools = [],
    }: { readonly signal?: AbortSignal | undefined; readonly tools?: readonly object[] | undefined } = {},
  ): Promise<Int32Array> {
    const prefix = await model.encode("");
    const words = new LiteralText(model.specialTexts(), { messages, tools });
    const { text, literal } = words.unmarked(await this.render(words.marked(messages), words.marked(tools)));
    return (await model.encode(text, { literal, signal })).subarray(prefix.length);
  }

  /** Ends the template's thread; it can be used again. */
  async close(): Promise<void> {
    await this.#renderer.close();
  }
}

/**
 * The chat template of a build folder. Throws `build-missing` and `chat-template-missing` (category usage) and
 * `chat-template-invalid` (category data).
 */
export function openChatTemplate(build: string | URL): ChatTemplate {
  const built = openBuild(build instanceof URL ? fileURLToPath(build) : build);
  const template = chatTemplateOf(built);
  if (template !== null) return template;
  throw new GsicError({
    category: "usage",
    code: "chat-template-missing",
    message: "this model's files have no chat template",
    where: built.folder,
    hint: "give it plain text, or build a model that was trained to converse",
  });
}

/** The chat template of a build; null if its model has none. Throws `chat-template-invalid` (category data). */
export function chatTemplateOf({ folder, report }: Built): ChatTemplate | null {
  // Builds of earlier versions do not have the field.
  const chat = report.chat ?? null;
  if (chat === null) return null;
  // The report is a file like any other: it does not say where in the system to read.
  const file = join(folder, buildFiles.chatTemplate);
  const source = readText(file, maxBytes);
  try {
    return new ChatTemplate(source, chat.tokens, chat.end_ids);
  } catch (cause) {
    throw new GsicError({
      category: "data",
      code: "chat-template-invalid",
      message: `the chat template cannot be read: ${messageOf(cause)}`,
      where: file,
      hint: "correct it there, or in the model's files and build again",
      cause,
    });
  }
}
