import fc from "fast-check";
import { expect, test } from "vitest";
import { LiteralText } from "./literal-text.js";

/** The bytes of a text that are marked, as text. */
function literal(words: readonly string[], text: string): string {
  const one = new LiteralText(words, text);
  const { text: whole, literal: places } = one.unmarked(one.marked(text));
  expect(whole).toBe(text);
  const bytes = Buffer.from(text);
  expect(places.every((at, index) => at < bytes.length && (index === 0 || at > places[index - 1]!))).toBe(
    true,
  );
  return places.map((at) => String.fromCharCode(bytes[at]!)).join("");
}

test("every byte at which a character of a word begins is marked, of words that overlap too", () => {
  const words = ["<|end|>", "<|", "ab", "bc", "."];
  expect(literal(words, "no words at all")).toBe("");
  expect(literal(words, "a <|end|> b")).toBe("<|end|>");
  expect(literal(words, "<|en<|end|>")).toBe("<|<|end|>");
  expect(literal(words, "xabcx.")).toBe("abc.");
  expect(literal([], "<|end|>")).toBe("");
  expect(literal(["é😀"], "xé😀y")).toBe("\u00c3\u00f0");
  expect(literal([""], "a")).toBe("");
});

test("marks come through what a template does, in lists and objects, and leave keys alone", () => {
  const value = { a: ["<s>", { "<s>": " x<s> ", n: 3, no: null }] };
  const one = new LiteralText(["<s>"], value);
  const marked = one.marked(value);
  const inner = marked.a[1] as { "<s>": string; n: number; no: null };
  expect([inner.n, inner.no]).toEqual([3, null]);
  const text = `<s>[${inner["<s>"].trim()}]${String(marked.a[0]).slice(0, 3)}`;
  expect(one.unmarked(text)).toEqual({ text: "<s>[x<s>]<", literal: [5, 6, 7, 9] });
});

test("a text that holds marks itself keeps them", () => {
  const some = "\ufdd0<s>\ufdd1";
  const one = new LiteralText(["<s>"], some);
  expect(one.unmarked(one.marked(some))).toEqual({ text: some, literal: [3, 4, 5] });
  const all = Array.from({ length: 32 }, (_, index) => String.fromCodePoint(0xfdd0 + index)).join("");
  expect(() => new LiteralText(["<s>"], { a: all })).toThrow(/U\+FDD0/);
});

test("no text is changed by going through", () => {
  const part = fc.constantFrom("<s>", "</s>", "<", "s>", "é", "😀", "\ufdd0", "\ud83d", " ", "a");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
      const text = parts.join("");
      const one = new LiteralText(["<s>", "</s>", "😀"], text);
      expect(one.unmarked(one.marked(text)).text).toBe(text);
    }),
  );
});
