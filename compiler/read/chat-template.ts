import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { badInput, readText } from "./file.js";
import { parsePlainJson } from "./safetensors-json.js";
import { RenderLimitError, type RenderLimits, TemplateRenderer } from "./template-renderer.js";
import type { GgufTokenizerSource } from "./tokenizer.js";
import { type Json, object, string, tokenName } from "./tokenizer-json-parts.js";

/** How a model wants a conversation written, as its files say. */
export interface ChatTemplateSource {
  /** A Jinja template of `messages`, `add_generation_prompt` and `tokens`. */
  readonly template: string;
  /** Special tokens that the template may name, such as `bos_token`. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Ids that end a turn, beside the tokenizer's end of text. */
  readonly endIds: readonly number[];
}

/**
 * Refuses a template that does not end, or takes too much memory, for the simplest conversation: whoever serves the
 * model would have it run. What a template says against these messages is no matter here. Throws `chat-template-endless`
 * (category data); `where` is what it was read from.
 */
export async function requireEnding(
  { template, tokens }: ChatTemplateSource,
  where: string,
  limits?: RenderLimits,
): Promise<void> {
  const renderer = new TemplateRenderer(template, limits);
  try {
    const messages = [{ role: "user", content: "Hello" }];
    await renderer.render({ ...tokens, messages, add_generation_prompt: true });
  } catch (error) {
    if (error instanceof RenderLimitError)
      throw badInput(
        "chat-template-endless",
        `the model's chat template takes too much for one message: ${error.message}`,
        where,
        "correct it, or take chat_template out of the model's files",
      );
  } finally {
    await renderer.close();
  }
}

/** No chat template in use is a hundredth of this. */
const maxFileBytes = 16 * 2 ** 20;

const tokenKeys = ["bos_token", "eos_token", "unk_token", "pad_token"] as const;

/**
 * Reads the chat template of a Hugging Face folder (chat_template.jinja, else the one in tokenizer_config.json) or of
 * a GGUF file; null if it has none. Of several templates it is the default one.
 * @throws GsicError `tokenizer-malformed`, `json-...` or `file-...`, naming the file and the key
 */
export async function readChatTemplate(
  source: string | GgufTokenizerSource,
): Promise<ChatTemplateSource | null> {
  if (typeof source !== "string") return fromGguf(source);
  const status = await stat(source).catch(() => null);
  return status?.isDirectory() ? fromFolder(source) : null;
}

function fromFolder(folder: string): ChatTemplateSource | null {
  const read = (name: string): Json => {
    const file = join(folder, name);
    return existsSync(file) ? object(parsePlainJson(readText(file, maxFileBytes), file), file) : {};
  };
  const config = read("tokenizer_config.json");
  const alone = join(folder, "chat_template.jinja");
  const where = `${join(folder, "tokenizer_config.json")}: chat_template`;
  const template = existsSync(alone)
    ? readText(alone, maxFileBytes)
    : defaultTemplate(config.chat_template ?? null, where);
  if (template === null) return null;
  const named = { ...read("special_tokens_map.json"), ...config };
  const tokens = tokenKeys.flatMap((key) => {
    const name = tokenName(named[key]);
    return name === null ? [] : [[key, name] as const];
  });
  const ends: unknown = read("generation_config.json").eos_token_id ?? [];
  return { template, tokens: Object.fromEntries(tokens), endIds: idsOf(ends) };
}

/** tokenizer_config.json holds one template, or a list of named ones. */
function defaultTemplate(value: unknown, where: string): string | null {
  if (value === null) return null;
  if (!Array.isArray(value)) return string(value, where);
  const named = value.map((one) => object(one, where));
  const found = named.find(({ name }) => name === "default");
  return found === undefined ? null : string(found.template, where);
}

function fromGguf({ metadata, file }: GgufTokenizerSource): ChatTemplateSource | null {
  const template = metadata.get("tokenizer.chat_template");
  if (template === undefined) return null;
  const words = metadata.get("tokenizer.ggml.tokens");
  const tokens = ["bos", "eos"].flatMap((kind) => {
    const id = metadata.get(`tokenizer.ggml.${kind}_token_id`);
    const word: unknown = Array.isArray(words) ? words[Number(id)] : undefined;
    return typeof word === "string" ? [[`${kind}_token`, word] as const] : [];
  });
  const ends = metadata.get("tokenizer.ggml.eot_token_id") ?? [];
  return {
    template: string(template, `${file}: tokenizer.chat_template`),
    tokens: Object.fromEntries(tokens),
    endIds: idsOf(ends),
  };
}

/** One id or a list of ids. */
function idsOf(value: unknown): number[] {
  return (Array.isArray(value) ? value : [value])
    .map(Number)
    .filter((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 31);
}
