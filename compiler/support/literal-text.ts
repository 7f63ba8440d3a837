/**
 * Texts that go through a template and stay text: what looks like a special token in them is marked, so that the marks
 * come out of the template with it, whatever the template does to the text around.
 */

/** A text without marks, and the offsets of its bytes, as UTF-8, that belong to marked words. */
interface Unmarked {
  readonly text: string;
  readonly literal: readonly number[];
}

/** Code points that stand for no character, and never will: U+FDD0 to U+FDEF. */
const marks = Array.from({ length: 32 }, (_, index) => String.fromCodePoint(0xfdd0 + index));

/** Marks words in the texts of any value, and finds the marks again. */
export class LiteralText {
  readonly #mark: string;
  readonly #words: RegExp | null;

  /** `value` is all that will be marked. Throws an Error if it holds every code point that could be a mark. */
  constructor(words: readonly string[], value: unknown) {
    const all = JSON.stringify(value);
    const free = marks.find((one) => !all.includes(one));
    if (free === undefined)
      throw new Error("the text holds all of U+FDD0 to U+FDEF, which are no characters");
    this.#mark = free;
    const longest = [...new Set(words)].filter((word) => word !== "").sort((a, b) => b.length - a.length);
    // Looks ahead, so that words that overlap are all found.
    this.#words = longest.length === 0 ? null : new RegExp(`(?=(${longest.map(escaped).join("|")}))`, "g");
  }

  /** The same value, with a mark in front of every character of every word in its texts; keys of objects stay. */
  marked<T>(value: T): T {
    return this.#words === null ? value : (this.#through(value) as T);
  }

  /** Takes the marks out of a text. */
  unmarked(text: string): Unmarked {
    if (!text.includes(this.#mark)) return { text, literal: [] };
    const [first, ...rest] = text.split(this.#mark);
    let offset = Buffer.byteLength(first!);
    const literal = rest.map((part) => {
      const at = offset;
      offset += Buffer.byteLength(part);
      return at;
    });
    const whole = [first, ...rest].join("");
    // A mark at the very end, behind which nothing is left of its word.
    return { text: whole, literal: literal.filter((at) => at < offset) };
  }

  #through(value: unknown): unknown {
    if (typeof value === "string") return this.#markWords(value);
    if (Array.isArray(value)) return value.map((one) => this.#through(one));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, this.#through(one)]));
  }

  #markWords(text: string): string {
    const places = new Set<number>();
    for (const { index, 1: word } of text.matchAll(this.#words!))
      for (let at = index; at < index + word!.length; at++) places.add(at);
    if (places.size === 0) return text;
    let marked = "";
    for (let at = 0; at < text.length; at++) {
      // Between the two halves of one character there is no place for a mark.
      const half = at > 0 && isLow(text.charCodeAt(at)) && isHigh(text.charCodeAt(at - 1));
      marked += places.has(at) && !half ? this.#mark + text[at] : text[at];
    }
    return marked;
  }
}

const isHigh = (code: number) => code >= 0xd800 && code < 0xdc00;
const isLow = (code: number) => code >= 0xdc00 && code < 0xe000;

function escaped(word: string): string {
  return word.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
