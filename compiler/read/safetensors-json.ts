import { badInput, fetchAgain } from "./file.js";

/**
 * JSON as untrusted files need it read: duplicate keys are an error (`JSON.parse` keeps the last one, so two readers
 * of one file could see two models), numbers keep their spelling, objects are Maps (no prototype), nesting is bounded.
 */
export type StrictJson = null | boolean | string | JsonNumber | readonly StrictJson[] | JsonObject;

/** Values by key, in the order of the text. */
type JsonObject = ReadonlyMap<string, StrictJson>;

/** A number as it was written. */
export class JsonNumber {
  constructor(readonly text: string) {}

  /** The value where it was written as plain digits and is below 2^53; else undefined. */
  get whole(): number | undefined {
    const value = /^(0|[1-9]\d*)$/.test(this.text) ? Number(this.text) : Number.NaN;
    return Number.isSafeInteger(value) ? value : undefined;
  }
}

const maxDepth = 32;

/** Parses `text`, which stands at byte `offset` of `file`. Throws `json-syntax`, `json-duplicate-key`, `json-depth`. */
export function parseStrictJson(text: string, file: string, offset = 0): StrictJson {
  const parser = new Parser(text, file, offset);
  return parser.document();
}

/** As `JSON.parse`, for files of plain objects; throws what `parseStrictJson` throws. */
export function parsePlainJson(text: string, file: string): unknown {
  parseStrictJson(text, file);
  return JSON.parse(text);
}

/** True for a Map that `parseStrictJson` made. */
export function isJsonObject(value: StrictJson | undefined): value is JsonObject {
  return value instanceof Map;
}

/** The text without spaces for a message, cut to a few characters. */
export function describeJson(value: StrictJson | undefined): string {
  if (value === undefined) {
    return "nothing";
  }
  if (value instanceof JsonNumber) {
    return value.text;
  }
  if (isJsonObject(value)) {
    return "an object";
  }
  return Array.isArray(value) ? "an array" : JSON.stringify(value).slice(0, 60);
}

class Parser {
  private position = 0;

  constructor(
    private readonly text: string,
    private readonly file: string,
    private readonly offset: number,
  ) {}

  document(): StrictJson {
    const value = this.value(0);
    this.space();
    if (this.position < this.text.length) {
      throw this.syntax("something follows the end of the JSON document");
    }
    return value;
  }

  private value(depth: number): StrictJson {
    if (depth > maxDepth) {
      throw badInput(
        "json-depth",
        `JSON nested deeper than ${maxDepth} levels`,
        this.place(this.position),
        fetchAgain,
      );
    }
    this.space();
    switch (this.text[this.position]) {
      case "{":
        return this.object(depth);
      case "[":
        return this.array(depth);
      case '"':
        return this.string();
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  private object(depth: number): JsonObject {
    const members = new Map<string, StrictJson>();
    this.position++;
    this.space();
    if (this.take("}")) {
      return members;
    }
    for (;;) {
      this.space();
      const start = this.position;
      if (this.text[start] !== '"') {
        throw this.syntax("a key in double quotes is expected");
      }
      const key = this.string();
      if (members.has(key)) {
        throw badInput(
          "json-duplicate-key",
          `the key ${JSON.stringify(key)} stands twice in one object`,
          this.place(start),
          "the file was made by a broken converter, or to mislead; fetch it again from a source you trust",
        );
      }
      this.space();
      this.expect(":");
      members.set(key, this.value(depth + 1));
      this.space();
      if (this.take("}")) {
        return members;
      }
      this.expect(",");
    }
  }

  private array(depth: number): StrictJson[] {
    const items: StrictJson[] = [];
    this.position++;
    this.space();
    if (this.take("]")) {
      return items;
    }
    for (;;) {
      items.push(this.value(depth + 1));
      this.space();
      if (this.take("]")) {
        return items;
      }
      this.expect(",");
    }
  }

  private string(): string {
    const start = this.position;
    let end = start + 1;
    for (; ; end++) {
      const unit = this.text.charCodeAt(end);
      if (unit === 0x22) {
        break;
      }
      if (unit === 0x5c) {
        end++;
      } else if (!(unit >= 0x20)) {
        this.position = end;
        throw this.syntax(end < this.text.length ? "a control character in a string" : "a string has no end");
      }
    }
    this.position = end + 1;
    try {
      const value = JSON.parse(this.text.slice(start, end + 1)) as string;
      if (!/\p{Surrogate}/u.test(value)) {
        return value;
      }
    } catch {
      // Reported below, like half a surrogate pair.
    }
    this.position = start;
    throw this.syntax("a string with a wrong escape");
  }

  private number(): JsonNumber {
    const pattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    pattern.lastIndex = this.position;
    const match = pattern.exec(this.text);
    if (match === null) {
      throw this.syntax("a JSON value is expected");
    }
    this.position = pattern.lastIndex;
    return new JsonNumber(match[0]);
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.position)) {
      throw this.syntax("a JSON value is expected");
    }
    this.position += word.length;
    return value;
  }

  private space(): void {
    for (;;) {
      const unit = this.text.charCodeAt(this.position);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) {
        return;
      }
      this.position++;
    }
  }

  private take(character: string): boolean {
    const found = this.text[this.position] === character;
    this.position += found ? 1 : 0;
    return found;
  }

  private expect(character: string): void {
    if (!this.take(character)) {
      throw this.syntax(`${JSON.stringify(character)} is expected`);
    }
  }

  private syntax(message: string) {
    const end = this.position >= this.text.length ? "; the text ends here" : "";
    return badInput(
      "json-syntax",
      `JSON is malformed: ${message}${end}`,
      this.place(this.position),
      "the file is damaged or was edited by hand; fetch it again",
    );
  }

  private place(position: number): string {
    return `${this.file}: byte ${this.offset + Buffer.byteLength(this.text.slice(0, position))}`;
  }
}
