import type {
  PreTokenizerStep,
  SplitBehavior,
  TokenizerModel,
  TokenizerNormalizer,
} from "./tokenizer-model.js";
import { ordinaryTokens } from "./tokenizer-model.js";
import { toPcre2 } from "./tokenizer-regex.js";

/*
 * The tokenizer section of a bundle; `runtime/src/tokenizer.cpp` reads it. Little endian, no padding but where
 * written; a reader checks every length against what is left, and that nothing is left at the end.
 *
 *   0  char[4]  "GTOK"
 *   4  u32      version, 1
 *   8  u32      size of the section in bytes
 *  12  u32      flags: 1 metaspace (else byte-level), 2 ignore merges, 4 byte fallback, 8 fuse unknowns
 *  16  u32      normaliser: 0 none, 1 metaspace, 2 prepend-metaspace, 3 NFC
 *  20  i32 x 3  bos, eos, unknown; -1 for none
 *  32  u32 x 5  counts: T tokens, M merges, A added tokens, S steps, P prefix ids
 *  52  u32[T]   where each token ends in the token bytes, cumulative
 *      u32[3M]  left, right and merged id of each merge, best first
 *      u32[P]   prefix ids
 *      A times  u32 id, u32 flags (1 special, 2 normalised, 4 strips left, 8 strips right), u32 n, u8[n] content
 *      S times  u32 kind (0 split, 1 prefix space, 2 metaspace), u32 option, u32 n, u8[n] pattern for PCRE2
 *               option of a split: behaviour (0 isolated, 1 removed, 2 merged with previous, 3 merged with next,
 *               4 contiguous) + 16 if inverted; of metaspace: prepend (0 never, 1 first, 2 always)
 *      u8[T]    1 where text can become the token by lookup (`ordinaryTokens`)
 *      u8[]     token bytes
 */
const version = 1;
const behaviors: readonly SplitBehavior[] = [
  "isolated",
  "removed",
  "merged-with-previous",
  "merged-with-next",
  "contiguous",
];
const prepends = ["never", "first", "always"] as const;
const normalizers: readonly TokenizerNormalizer[] = ["none", "metaspace", "prepend-metaspace", "nfc"];

/** A tokenizer as the native runtime loads it; same model, same bytes. */
export function serializeTokenizer(model: TokenizerModel): Uint8Array {
  const writer = new SectionWriter();
  writer.bytes(new TextEncoder().encode("GTOK"));
  writer.words(version, 0);
  writer.words(
    (model.kind === "metaspace" ? 1 : 0) +
      (model.ignoreMerges ? 2 : 0) +
      (model.byteFallback ? 4 : 0) +
      (model.fuseUnknown ? 8 : 0),
  );
  writer.words(normalizers.indexOf(model.normalizer), model.bos ?? -1, model.eos ?? -1, model.unknown ?? -1);
  const { tokens, merges, added, steps, prefix } = model;
  writer.words(tokens.length, merges.length / 3, added.length, steps.length, prefix.length);
  let end = 0;
  for (const token of tokens) {
    end += token.length;
    writer.words(end);
  }
  for (const id of merges) writer.words(id);
  writer.words(...prefix);
  for (const token of added) {
    const flags =
      (token.special ? 1 : 0) + (token.normalized ? 2 : 0) + (token.lstrip ? 4 : 0) + (token.rstrip ? 8 : 0);
    writer.words(token.id, flags);
    writer.text(token.content);
  }
  for (const step of steps) writeStep(writer, step);
  writer.bytes(ordinaryTokens(model));
  for (const token of tokens) writer.bytes(token);
  return writer.finish();
}

function writeStep(writer: SectionWriter, step: PreTokenizerStep): void {
  switch (step.kind) {
    case "split":
      writer.words(0, behaviors.indexOf(step.behavior) + (step.invert ? 16 : 0));
      writer.text(toPcre2(step.pattern));
      return;
    case "prefix-space":
      writer.words(1, 0, 0);
      return;
    case "metaspace":
      writer.words(2, prepends.indexOf(step.prepend), 0);
      return;
    default:
      step satisfies never;
  }
}

/** A buffer that grows; `finish` writes its length at offset 8. */
class SectionWriter {
  private buffer = Buffer.alloc(1 << 16);
  private length = 0;

  private reserve(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.buffer.length) {
      this.buffer = Buffer.concat([this.buffer, Buffer.alloc(Math.max(this.buffer.length, count))]);
    }
    return at;
  }

  bytes(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.buffer.set(bytes, at);
  }

  /** 32-bit words; negative ones in two's complement. */
  words(...values: readonly number[]): void {
    for (const value of values) {
      const at = this.reserve(4);
      this.buffer.writeUInt32LE(value >>> 0, at);
    }
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.words(bytes.length);
    this.bytes(bytes);
  }

  finish(): Uint8Array {
    this.buffer.writeUInt32LE(this.length, 8);
    return Uint8Array.from(this.buffer.subarray(0, this.length));
  }
}
