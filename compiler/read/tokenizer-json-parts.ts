import { quote } from "./tokenizer-build.js";
import type { PreTokenizerStep, TokenizerNormalizer } from "./tokenizer-model.js";
import { malformed, metaspace, unsupported } from "./tokenizer-model.js";
import { gpt2Pattern, literalPattern, portablePattern } from "./tokenizer-regex.js";

/** A JSON object whose values are not checked yet. */
export type Json = Readonly<Record<string, unknown>>;

/** A JSON value of a known kind; anything else is `tokenizer-malformed`, at `where`. */
export function object(value: unknown, where: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw malformed("an object is expected here", where);
}

/** As `object`, of a list; its items are not checked. */
export function array(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw malformed("a list is expected here", where);
}

/** As `object`, of a string. */
export function string(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  throw malformed("a string is expected here", where);
}

/** An isolating split by a pattern in the reference's language. */
export function split(pattern: string, where: string): PreTokenizerStep {
  return { kind: "split", pattern: portablePattern(pattern, where), behavior: "isolated", invert: false };
}

const behaviors = {
  Isolated: "isolated",
  Removed: "removed",
  MergedWithPrevious: "merged-with-previous",
  MergedWithNext: "merged-with-next",
  Contiguous: "contiguous",
} as const;

function splitStep(step: Json, where: string): PreTokenizerStep {
  const pattern = object(step.pattern, `${where}.pattern`);
  const behavior = behaviors[step.behavior as keyof typeof behaviors];
  if (behavior === undefined) throw unsupported(`the split behaviour ${quote(String(step.behavior))}`, where);
  return {
    kind: "split",
    pattern:
      typeof pattern.Regex === "string"
        ? portablePattern(pattern.Regex, `${where}.pattern`)
        : literalPattern(string(pattern.String, `${where}.pattern`)),
    behavior,
    invert: step.invert === true,
  };
}

/** The steps of tokenizer.json's `pre_tokenizer`, and whether it ends in bytes. */
export function preTokenizer(
  value: unknown,
  where: string,
): { list: PreTokenizerStep[]; byteLevel: boolean } {
  if (value === null) return { list: [], byteLevel: false };
  const step = object(value, where);
  switch (step.type) {
    case "Sequence": {
      const list: PreTokenizerStep[] = [];
      let byteLevel = false;
      array(step.pretokenizers, `${where}.pretokenizers`).forEach((part, index) => {
        if (byteLevel) throw unsupported("a step after ByteLevel", `${where}.pretokenizers[${index}]`);
        const steps = preTokenizer(part, `${where}.pretokenizers[${index}]`);
        list.push(...steps.list);
        byteLevel = steps.byteLevel;
      });
      return { list, byteLevel };
    }
    case "Split":
      return { list: [splitStep(step, where)], byteLevel: false };
    case "Digits":
      return {
        list: [split(step.individual_digits === true ? "\\p{N}" : "\\p{N}+", where)],
        byteLevel: false,
      };
    case "ByteLevel": {
      const list: PreTokenizerStep[] = step.add_prefix_space === true ? [{ kind: "prefix-space" }] : [];
      if (step.use_regex !== false) list.push(split(gpt2Pattern, where));
      return { list, byteLevel: true };
    }
    case "Metaspace":
      return { list: metaspaceSteps(step, where), byteLevel: false };
    default:
      throw unsupported(`the pre-tokenizer ${quote(String(step.type))}`, where);
  }
}

function metaspaceSteps(step: Json, where: string): PreTokenizerStep[] {
  if ((step.replacement ?? metaspace) !== metaspace)
    throw unsupported("another character for a space", where);
  const prepend = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
  if (prepend !== "always" && prepend !== "first" && prepend !== "never") {
    throw unsupported(`the prepend scheme ${quote(String(prepend))}`, where);
  }
  const steps: PreTokenizerStep[] = [{ kind: "metaspace", prepend }];
  if (step.split !== false) {
    steps.push({
      kind: "split",
      pattern: literalPattern(metaspace),
      behavior: "merged-with-next",
      invert: false,
    });
  }
  return steps;
}

/** tokenizer.json's `normalizer`. */
export function normalizerOf(value: unknown, where: string): TokenizerNormalizer {
  if (value === null) return "none";
  const step = object(value, where);
  const parts =
    step.type === "Sequence" ? array(step.normalizers, where).map((part) => object(part, where)) : [step];
  const kinds = parts.map((part) => {
    if (part.type === "NFC") return "nfc";
    if (part.type === "Prepend" && part.prepend === metaspace) return "prepend";
    const replaced = part.type === "Replace" ? object(part.pattern, where).String : undefined;
    if (replaced === " " && part.content === metaspace) return "metaspace";
    throw unsupported(`the normalizer ${quote(String(part.type))}`, where);
  });
  switch (kinds.join(" ")) {
    case "":
      return "none";
    case "nfc":
      return "nfc";
    case "metaspace":
      return "metaspace";
    case "prepend metaspace":
      return "prepend-metaspace";
    default:
      throw unsupported(`the sequence of normalizers ${kinds.join(", ")}`, where);
  }
}

/** The ids that a post-processor puts before a single text. */
export function templatePrefix(value: unknown, tokenCount: number, where: string): number[] {
  if (value === null) return [];
  const step = object(value, where);
  if (step.type === "ByteLevel") return [];
  if (step.type === "Sequence") {
    return array(step.processors, where)
      .map((part) => templatePrefix(part, tokenCount, where))
      .reverse()
      .flat();
  }
  if (step.type !== "TemplateProcessing")
    throw unsupported(`the post-processor ${quote(String(step.type))}`, where);
  const prefix: number[] = [];
  let text = false;
  for (const part of array(step.single, `${where}.single`).map((it) => object(it, `${where}.single`))) {
    if (part.SpecialToken === undefined) {
      text = true;
      continue;
    }
    if (text) throw unsupported("a post-processor that adds tokens after the text", where);
    const name = string(object(part.SpecialToken, where).id, where);
    const specials = object(step.special_tokens, `${where}.special_tokens`);
    for (const id of array(object(specials[name], `${where}.special_tokens`).ids, where)) {
      if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= tokenCount) {
        throw malformed(`${quote(name)} has the id ${String(id)}, which is no token`, where);
      }
      prefix.push(id);
    }
  }
  return prefix;
}

/** Whether tokenizer.json's `decoder` drops a space at the start of the text. */
export function stripsLeadingSpace(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const step = value as Json;
  if (step.type === "Metaspace") return step.prepend_scheme !== "never" && step.add_prefix_space !== false;
  if (step.type === "Strip") return step.content === " " && step.start === 1;
  return step.type === "Sequence" && Array.isArray(step.decoders) && step.decoders.some(stripsLeadingSpace);
}

/** The text of a token in tokenizer_config.json, which writes it bare or as an added token. */
export function tokenName(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return null;
  const content = (value as Json).content;
  return typeof content === "string" ? content : null;
}
