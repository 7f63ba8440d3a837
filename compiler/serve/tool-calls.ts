/** Calls of tools in what a model writes: the formats that templates teach, and their way out of a streamed text. */

import { randomUUID } from "node:crypto";

/** A call, as OpenAI's interface has it. */
export interface ToolCall {
  readonly id: string;
  readonly type: "function";
  /** `arguments` is JSON, as the model wrote it or in its place. */
  readonly function: { readonly name: string; readonly arguments: string };
}

/** How a model writes calls. */
export interface ToolFormat {
  /** What a call of a tool begins with, up to its arguments, and what it ends with. */
  readonly begin: (name: string) => string;
  readonly end: string;
  /** What tells a call from other text. */
  readonly trigger: string;
  /** Between two calls. */
  readonly separator: string;
  readonly parser: () => ToolCallParser;
}

/** What a text was found to hold, in its order. */
export interface Parsed {
  readonly text: string;
  readonly calls: readonly ToolCall[];
}

/** Takes calls out of a text that comes in pieces. Text that may yet become one is held back. */
export interface ToolCallParser {
  push(text: string): Parsed;
  /** At the end: what was held back, as what it turned out to be. */
  rest(): Parsed;
}

const open = "<tool_call>";
const close = "</tool_call>";

/** Hermes', Qwen's and SmolLM's: <tool_call>{"name": ..., "arguments": ...}</tool_call>. */
export const hermesFormat: ToolFormat = {
  begin: (name) => `${open}\n{"name": ${JSON.stringify(name)}, "arguments": `,
  end: `}\n${close}`,
  trigger: open,
  separator: "\n",
  parser: () => new TagParser(),
};

/** Llama 3's: an answer that is nothing but {"name": ..., "parameters": ...}, or several of them. */
export const llamaFormat: ToolFormat = {
  begin: (name) => `{"name": ${JSON.stringify(name)}, "parameters": `,
  end: "}",
  trigger: '{"name": ',
  separator: "; ",
  parser: () => new JsonParser(),
};

/** The format that a chat template teaches; null if it knows no tools. */
export function toolFormatOf(template: string): ToolFormat | null {
  if (!/\btools\b/.test(template)) return null;
  if (template.includes(open)) return hermesFormat;
  return /<\|python_tag\|>|"?parameters"?\s*:|'?"parameters/.test(template) ? llamaFormat : null;
}

class TagParser implements ToolCallParser {
  #held = "";
  /** Whitespace behind the last call, which is nobody's text unless more than that follows; null where text came last. */
  #gap: string | null = null;

  push(text: string): Parsed {
    this.#held += text;
    const calls: ToolCall[] = [];
    let said = "";
    for (;;) {
      const begin = this.#held.indexOf(open);
      const end = begin < 0 ? -1 : this.#held.indexOf(close, begin);
      if (end < 0) {
        said += this.#say(this.#take(begin < 0 ? this.#held.length - partOf(open, this.#held) : begin));
        return { text: said, calls };
      }
      said += this.#say(this.#take(begin));
      const whole = this.#take(end + close.length - begin);
      const found = callsOf(whole.slice(open.length, -close.length));
      calls.push(...found);
      if (found.length === 0) said += this.#say(whole);
      else this.#gap = "";
    }
  }

  rest(): Parsed {
    const held = this.#take(this.#held.length);
    // A call whose end was cut off, or that the model did not close.
    const calls = held.startsWith(open) ? callsOf(held.slice(open.length)) : [];
    return calls.length > 0 ? { text: "", calls } : { text: this.#say(held), calls };
  }

  #say(text: string): string {
    if (this.#gap === null) return text;
    this.#gap += text;
    if (this.#gap.trim() === "") return "";
    const all = this.#gap;
    this.#gap = null;
    return all;
  }

  #take(length: number): string {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return text;
  }
}

/** Length of the longest end of `text` with which `word` begins. */
function partOf(word: string, text: string): number {
  for (let length = Math.min(word.length - 1, text.length); length > 0; length--)
    if (word.startsWith(text.slice(-length))) return length;
  return 0;
}

class JsonParser implements ToolCallParser {
  #held = "";
  /** Whether the text began as a call does; null: it has not begun. */
  #maybe: boolean | null = null;

  push(text: string): Parsed {
    this.#held += text;
    if (this.#maybe === null && this.#held.trim() !== "")
      this.#maybe = this.#held.trimStart().startsWith("{");
    return this.#maybe === false ? { text: this.#take(), calls: [] } : { text: "", calls: [] };
  }

  rest(): Parsed {
    const held = this.#take();
    const calls = this.#maybe === true ? callsOf(held) : [];
    return calls.length > 0 ? { text: "", calls } : { text: held, calls };
  }

  #take(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

/** Calls that are written in a row: JSON objects or a list of them, with or without `;` between. None if there is anything else. */
function callsOf(text: string): ToolCall[] {
  const calls: ToolCall[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const length = jsonLength(rest);
    const value = length === null ? undefined : parsed(rest.slice(0, length));
    if (length === null || value === undefined) return [];
    for (const one of Array.isArray(value) ? value : [value]) {
      const call = callOf(one);
      if (call === null) return [];
      calls.push(call);
    }
    rest = rest.slice(length).replace(/^\s*;?\s*/, "");
  }
  return calls;
}

function callOf(value: unknown): ToolCall | null {
  if (typeof value !== "object" || value === null) return null;
  const { name, arguments: given, parameters } = value as Record<string, unknown>;
  const written = given ?? parameters ?? {};
  if (typeof name !== "string") return null;
  return {
    id: `call_${randomUUID().replaceAll("-", "")}`,
    type: "function",
    function: { name, arguments: typeof written === "string" ? written : JSON.stringify(written) },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Length of the object or list that a text begins with; null if it does not, or has no end. */
function jsonLength(text: string): number | null {
  let depth = 0;
  let inside = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inside) {
      if (character === "\\") at++;
      else if (character === '"') inside = false;
    } else if (character === '"') inside = true;
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") {
      if (--depth === 0) return at + 1;
    }
    if (depth === 0) return null;
  }
  return null;
}
