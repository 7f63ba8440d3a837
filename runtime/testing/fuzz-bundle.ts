import { serializeTokenizer, type TokenizerModel } from "../../compiler/read/tokenizer.js";
import { type Section, testManifest, testWeights, writeBundle } from "./bundle.js";

/** A tokenizer with a bit of everything: merges, added tokens of every kind, byte tokens, two steps. */
export function fuzzTokenizer(kind: TokenizerModel["kind"]): Uint8Array {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const letters = ["a", "b", "e", "h", "l", "o", " ", "\u2581", "!"].map(bytes);
  const fallback = Array.from({ length: 256 }, (_, byte) =>
    bytes(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
  const added = ["<s>", "<|endoftext|>", "naïve"].map(bytes);
  const tokens = [...letters, bytes("aa"), bytes("he"), bytes("hel"), bytes("aaaa"), ...added, ...fallback];
  const id = letters.length + 4;
  return serializeTokenizer({
    kind,
    tokens,
    merges: Uint32Array.of(0, 0, 9, 3, 2, 10, 10, 4, 11, 9, 9, 12),
    added: [
      { id, content: "<s>", special: true, normalized: false, lstrip: false, rstrip: true },
      { id: id + 1, content: "<|endoftext|>", special: true, normalized: false, lstrip: true, rstrip: false },
      { id: id + 2, content: "naïve", special: false, normalized: true, lstrip: false, rstrip: false },
    ],
    normalizer: kind === "metaspace" ? "prepend-metaspace" : "nfc",
    steps: [
      { kind: "prefix-space" },
      { kind: "split", pattern: "'s| ?\\p{L}+| ?\\p{N}+|\\s+", behavior: "isolated", invert: false },
      { kind: "metaspace", prepend: "first" },
    ],
    ignoreMerges: false,
    byteFallback: kind === "metaspace",
    unknown: 0,
    fuseUnknown: true,
    bos: id,
    eos: id + 1,
    prefix: [id],
    stripLeadingSpace: true,
  });
}

/** A small bundle of the test model with a tokenizer, whose code no test of this kind loads. */
export function fuzzBundle(kind: TokenizerModel["kind"]): Promise<Uint8Array> {
  const sections: Section[] = [
    { name: "manifest", payload: new TextEncoder().encode(JSON.stringify(testManifest())) },
    { name: "weights", payload: testWeights() },
    { name: "tokenizer", payload: fuzzTokenizer(kind) },
    { name: "code", payload: new Uint8Array(64).fill(7) },
  ];
  return writeBundle(sections);
}
