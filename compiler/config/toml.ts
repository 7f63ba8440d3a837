import { existsSync } from "node:fs";
import TOML from "@iarna/toml";
import { closest } from "fastest-levenshtein";
import { readWhole } from "../read/file.js";
import { GsicError, messageOf } from "../support/errors.js";

/** A table of TOML. */
export type Table = Readonly<Record<string, unknown>>;

/** No model.toml that a person wrote is a thousandth of this. */
const maxBytes = 1 << 24;

/** The text of model.toml. Throws `config-unreadable` and `config-encoding` (category usage). */
export function readText(file: string): string {
  if (/\.(gguf|onnx|safetensors)$/.test(file) && existsSync(file))
    throw unreadable(file, "this is a model, and no model.toml");
  let bytes: Uint8Array;
  try {
    bytes = readWhole(file, maxBytes);
  } catch (cause) {
    throw unreadable(file, messageOf(cause), cause);
  }
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    throw new GsicError({
      category: "usage",
      code: "config-encoding",
      message: "the file begins with a byte-order mark",
      where: `${file}:1:1`,
      hint: "save the file as UTF-8 without a byte-order mark",
    });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const hint = "save the file as UTF-8";
    throw new GsicError({
      category: "usage",
      code: "config-encoding",
      message: "not UTF-8",
      where: file,
      hint,
      cause,
    });
  }
}

function unreadable(file: string, message: string, cause?: unknown): GsicError {
  const hint =
    'write a model.toml that names the model, of two lines: [model] and source = "..."; then give its path, ' +
    "e.g. gsic build examples/tiny-gpt2/model.toml";
  return new GsicError({ category: "usage", code: "config-unreadable", message, where: file, hint, cause });
}

/** Parses TOML. Throws `config-syntax` (category usage) with line and column. */
export function parseToml(text: string, file: string): Table {
  try {
    return TOML.parse(text);
  } catch (cause) {
    const { line, col } = cause as { line?: number; col?: number };
    const place = line === undefined ? file : `${file}:${line + 1}:${(col ?? 0) + 1}`;
    const message = messageOf(cause).split(" at row ")[0]!.split("\n")[0]!;
    throw new GsicError({
      category: "usage",
      code: "config-syntax",
      message,
      where: place,
      hint: "correct the TOML",
      cause,
    });
  }
}

/** A table of the document; empty where it is not there. Throws `config-value` where it is no table. */
export function table(document: Table, section: string, file: string): Table {
  const value = document[section];
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const hint = `begin a table with [${section}]`;
    throw new GsicError({
      category: "usage",
      code: "config-value",
      message: `${section} must be a table`,
      where: `${file}: ${section}`,
      hint,
    });
  }
  return value as Table;
}

/** Throws `config-unknown-key` (category usage), with the line, unless all keys are among those allowed. */
export function checkKeys(
  found: Table,
  allowed: readonly string[],
  file: string,
  text: string,
  prefix: string,
): void {
  for (const key of Object.keys(found)) {
    if (allowed.includes(key)) continue;
    const line = lineOf(text, prefix.slice(0, -1), key);
    throw new GsicError({
      category: "usage",
      code: "config-unknown-key",
      message: `unknown ${prefix === "" ? "table" : "key"} ${prefix}${key}`,
      where: line > 0 ? `${file}:${line}` : file,
      hint: `did you mean ${closest(key, [...allowed])}? Known: ${allowed.join(", ")}`,
    });
  }
}

/** The 1-based line of a key of a table, or of a table (`section` is empty); 0 where it is written in another way. */
function lineOf(text: string, section: string, key: string): number {
  let current = "";
  const index = text.split("\n").findIndex((line) => {
    const bare = line.replace(/["'\s]/g, "");
    const header = /^\[+([^\]]*)\]/.exec(bare)?.[1];
    if (header !== undefined) current = header;
    const path = header ?? [current, /^[^=#]*/.exec(bare)![0]].filter((part) => part !== "").join(".");
    return `${path}.`.startsWith(section === "" ? `${key}.` : `${section}.${key}.`);
  });
  return index + 1;
}
