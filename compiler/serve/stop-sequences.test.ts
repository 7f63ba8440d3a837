import fc from "fast-check";
import { expect, test } from "vitest";
import { StopSequences } from "./stop-sequences.js";

/** What comes through when a text is pushed in pieces. */
function through(sequences: readonly string[], pieces: readonly string[]): string {
  const stop = new StopSequences(sequences);
  let text = "";
  for (const piece of pieces) {
    const found = stop.push(piece);
    text += found.text;
    if (found.stopped) return text;
  }
  return text + stop.rest();
}

test("a text ends before the first sequence, however it is cut into pieces", () => {
  const letters = fc.constantFrom("a", "b", "c").map(String);
  const word = fc.string({ unit: letters, minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 4 }), fc.array(word, { maxLength: 12 }), (sequences, pieces) => {
      const whole = pieces.join("");
      const ends = sequences.map((one) => whole.indexOf(one)).filter((at) => at >= 0);
      const first = Math.min(whole.length, ...ends);
      const found = through(sequences, pieces);
      // Of two sequences that overlap, the one that is complete first ends the text.
      expect(whole.startsWith(found)).toBe(true);
      expect(found.length).toBeGreaterThanOrEqual(first);
      for (const one of sequences) expect(found).not.toContain(one);
      if (ends.length === 0) expect(found).toBe(whole);
    }),
  );
});

test("what cannot become a sequence any more is not held back", () => {
  const stop = new StopSequences(["\n\nUser:"]);
  expect(stop.push("Hi\n")).toEqual({ text: "Hi", stopped: false });
  expect(stop.push("\n")).toEqual({ text: "", stopped: false });
  expect(stop.push("x")).toEqual({ text: "\n\nx", stopped: false });
  expect(stop.push("\n\nUser: no")).toEqual({ text: "", stopped: true });
});
