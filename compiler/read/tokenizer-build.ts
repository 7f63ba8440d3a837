import type { AddedToken, TokenizerModel } from "./tokenizer-model.js";
import { bytesOfEntry, byteToken, malformed, maxTokens, unsupported } from "./tokenizer-model.js";

/** A vocabulary as files write it: entries are strings. */
interface RawVocabulary {
  readonly kind: TokenizerModel["kind"];
  /** Entry to id. */
  readonly ids: ReadonlyMap<string, number>;
  readonly added: readonly AddedToken[];
  /** Names the file in errors. */
  readonly where: string;
}

/**
 * Checks a vocabulary and turns it into a model's tokens.
 * @throws GsicError `tokenizer-malformed` for ids that are out of range or used twice
 */
export function buildTokens(raw: RawVocabulary): Pick<TokenizerModel, "tokens" | "added"> {
  const encoder = new TextEncoder();
  const tokens: Uint8Array[] = new Array(tokenCount(raw)).fill(new Uint8Array());
  const entries = new Map<number, string>();
  for (const [entry, id] of raw.ids) {
    const other = entries.get(id);
    if (other !== undefined) {
      throw malformed(`${quote(entry)} and ${quote(other)} have the same id ${id}`, raw.where);
    }
    entries.set(id, entry);
    tokens[id] = raw.kind === "byte-level" ? bytesOfEntry(entry) : encoder.encode(entry);
  }
  for (const token of raw.added) {
    const other = entries.get(token.id);
    if (other !== undefined && other !== token.content) {
      throw malformed(
        `added token ${quote(token.content)} has the id ${token.id} of ${quote(other)}`,
        raw.where,
      );
    }
    const elsewhere = raw.ids.get(token.content);
    if (elsewhere !== undefined && elsewhere !== token.id) {
      throw malformed(
        `added token ${quote(token.content)} has the id ${token.id}, but ${elsewhere} in the vocabulary`,
        raw.where,
      );
    }
    tokens[token.id] = encoder.encode(token.content);
  }
  return { tokens, added: raw.added };
}

function tokenCount(raw: RawVocabulary): number {
  let count = 0;
  const see = (id: unknown, name: string) => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= maxTokens) {
      throw malformed(`token ${quote(name)} has the id ${String(id)}`, raw.where);
    }
    count = Math.max(count, id + 1);
  };
  for (const [entry, id] of raw.ids) see(id, entry);
  for (const token of raw.added) {
    see(token.id, token.content);
    if (token.content === "") throw malformed(`added token ${token.id} is empty`, raw.where);
  }
  if (raw.ids.size === 0) throw malformed("the vocabulary is empty", raw.where);
  if (count > 16 * (raw.ids.size + raw.added.length)) {
    throw malformed(`ids go up to ${count - 1}, but there are only ${raw.ids.size} tokens`, raw.where);
  }
  return count;
}

/**
 * A model's merges, from pairs of entries, best first.
 * @throws GsicError `tokenizer-malformed` for merges of unknown tokens
 */
export function mergeTable(
  merges: readonly (readonly [string, string])[],
  ids: ReadonlyMap<string, number>,
  where: string,
): Uint32Array {
  const table = new Uint32Array(merges.length * 3);
  merges.forEach(([left, right], index) => {
    [left, right, left + right].forEach((entry, part) => {
      const id = ids.get(entry);
      if (id === undefined) {
        const merge = `${quote(left)} + ${quote(right)}`;
        throw malformed(
          `merge ${index} (${merge}) needs the token ${quote(entry)}, which does not exist`,
          where,
        );
      }
      table[index * 3 + part] = id;
    });
  });
  return table;
}

/** A merge written as one string, "left right". */
export function splitMerge(text: string, index: number, where: string): [string, string] {
  const space = text.indexOf(" ", 1);
  if (space < 0 || space === text.length - 1 || text.indexOf(" ", space + 1) >= 0) {
    throw malformed(`merge ${index} is ${quote(text)}, not two tokens with a space between them`, where);
  }
  return [text.slice(0, space), text.slice(space + 1)];
}

/** A text as a JSON string for a message, cut after 60 characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}

/**
 * Byte fallback is only run with all 256 byte tokens: with fewer, the reference puts unknowns after the bytes that
 * follow them, which nobody relies on.
 */
export function requireByteTokens(ids: ReadonlyMap<string, number>, where: string): void {
  for (let byte = 0; byte < 256; byte++) {
    const name = byteToken(byte);
    if (!ids.has(name)) throw unsupported(`byte fallback without the token ${name}`, where);
  }
}
