import { existsSync } from "node:fs";
import { join } from "node:path";
import { readText } from "./file.js";
import { parsePlainJson } from "./safetensors-json.js";
import { buildTokens, mergeTable, quote, requireByteTokens, splitMerge } from "./tokenizer-build.js";
import {
  array,
  type Json,
  normalizerOf,
  object,
  preTokenizer,
  split,
  string,
  stripsLeadingSpace,
  templatePrefix,
  tokenName,
} from "./tokenizer-json-parts.js";
import type { AddedToken, PreTokenizerStep, TokenizerModel } from "./tokenizer-model.js";
import { malformed, unsupported } from "./tokenizer-model.js";
import { gpt2Pattern } from "./tokenizer-regex.js";

/** No tokenizer in use is larger than a tenth of this. */
const maxFileBytes = 256 * 2 ** 20;

/**
 * Reads the tokenizer of a Hugging Face folder: tokenizer.json, else vocab.json and merges.txt; and
 * tokenizer_config.json beside either. Null if the folder has neither.
 * @throws GsicError `tokenizer-malformed`, `tokenizer-unsupported`, `json-...` or `file-...`, naming the file and the key
 */
export function readTokenizerFolder(folder: string): TokenizerModel | null {
  const textOf = (name: string) => {
    const file = join(folder, name);
    return existsSync(file) ? readText(file, maxFileBytes) : null;
  };
  const read = (name: string) => {
    const text = textOf(name);
    const file = join(folder, name);
    return text === null ? null : object(parsePlainJson(text, file), file);
  };
  const config = read("tokenizer_config.json") ?? {};
  const whole = read("tokenizer.json");
  if (whole !== null) return fromTokenizerJson(whole, config, join(folder, "tokenizer.json"));
  const vocabulary = read("vocab.json");
  const merges = textOf("merges.txt");
  if (vocabulary === null || merges === null) return null;
  return fromVocabularyAndMerges(vocabulary, merges, config, folder);
}

/** A model from the contents of tokenizer.json and tokenizer_config.json. */
export function fromTokenizerJson(json: Json, config: Json, file: string): TokenizerModel {
  const model = object(json.model, `${file}: model`);
  const where = `${file}: model`;
  if ((model.type ?? "BPE") !== "BPE" || model.merges === undefined) {
    throw unsupported(`the tokenizer model ${quote(String(model.type))}`, where);
  }
  for (const key of ["dropout", "continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[key]) throw unsupported(key, where);
  }
  const steps = preTokenizer(json.pre_tokenizer ?? null, `${file}: pre_tokenizer`);
  const normalizer = normalizerOf(json.normalizer ?? null, `${file}: normalizer`);
  const kind = steps.byteLevel ? "byte-level" : "metaspace";
  if (
    kind === "metaspace" &&
    normalizer === "none" &&
    !steps.list.some((step) => step.kind === "metaspace")
  ) {
    throw unsupported("BPE that is neither byte-level nor sentencepiece's", `${file}: pre_tokenizer`);
  }
  const ids = vocabularyMap(object(model.vocab, `${where}.vocab`));
  const merges = array(model.merges, `${where}.merges`).map((merge, index) => mergePair(merge, index, where));
  const added = array(json.added_tokens ?? [], `${file}: added_tokens`).map((token, index) =>
    addedToken(object(token, `${file}: added_tokens[${index}]`), `${file}: added_tokens[${index}]`),
  );
  const tables = {
    ...buildTokens({ kind, ids, added, where: file }),
    merges: mergeTable(merges, ids, file),
  };
  const idOf = (name: string | null) =>
    name === null ? null : (added.find((token) => token.content === name)?.id ?? ids.get(name) ?? null);
  const named = (key: string) => idOf(tokenName(config[key]));
  const bos = named("bos_token");
  const unknown = model.unk_token ? string(model.unk_token, `${where}.unk_token`) : null;
  if (unknown !== null && idOf(unknown) === null)
    throw malformed(`unk_token ${quote(unknown)} is no token`, where);
  const llama = /^Llama/.test(String(config.tokenizer_class ?? ""));
  const prefix =
    llama && typeof config.add_bos_token === "boolean" && bos !== null
      ? config.add_bos_token
        ? [bos]
        : []
      : templatePrefix(json.post_processor ?? null, tables.tokens.length, `${file}: post_processor`);
  if (model.byte_fallback === true) requireByteTokens(ids, `${where}.vocab`);
  return {
    kind,
    ...tables,
    normalizer,
    steps: steps.list,
    ignoreMerges: model.ignore_merges === true,
    byteFallback: model.byte_fallback === true,
    unknown: idOf(unknown),
    fuseUnknown: model.fuse_unk === true,
    bos,
    eos: named("eos_token"),
    prefix,
    stripLeadingSpace: stripsLeadingSpace(json.decoder ?? null),
  };
}

/** A model from GPT-2's older pair of files. */
function fromVocabularyAndMerges(
  vocabulary: Json,
  text: string,
  config: Json,
  folder: string,
): TokenizerModel {
  const where = join(folder, "merges.txt");
  const lines = text
    .split(/\r?\n/)
    .filter((line, index) => line !== "" && !(index === 0 && line.startsWith("#version")));
  const merges = lines.map((line, index) => splitMerge(line, index, where));
  const ids = vocabularyMap(vocabulary);
  const added = new Map<number, AddedToken>();
  const decoder = object(
    config.added_tokens_decoder ?? {},
    `${folder}/tokenizer_config.json: added_tokens_decoder`,
  );
  for (const [id, token] of Object.entries(decoder)) {
    const place = `${folder}/tokenizer_config.json: added_tokens_decoder.${id}`;
    added.set(Number(id), addedToken({ ...object(token, place), id: Number(id) }, place));
  }
  const special = (key: string): number | null => {
    const name = tokenName(config[key]) ?? "<|endoftext|>";
    const id = ids.get(name) ?? null;
    if (id !== null && !added.has(id)) {
      added.set(id, { id, content: name, special: true, normalized: false, lstrip: false, rstrip: false });
    }
    return id;
  };
  const bos = special("bos_token");
  const eos = special("eos_token");
  special("unk_token");
  if (tokenName(config.pad_token) !== null) special("pad_token");
  const steps: PreTokenizerStep[] = config.add_prefix_space === true ? [{ kind: "prefix-space" }] : [];
  return {
    kind: "byte-level",
    ...buildTokens({ kind: "byte-level", ids, added: [...added.values()], where: folder }),
    merges: mergeTable(merges, ids, folder),
    normalizer: "none",
    steps: [...steps, split(gpt2Pattern, where)],
    ignoreMerges: false,
    byteFallback: false,
    unknown: null,
    fuseUnknown: false,
    bos,
    eos,
    prefix: config.add_bos_token === true && bos !== null ? [bos] : [],
    stripLeadingSpace: false,
  };
}

function vocabularyMap(vocabulary: Json): Map<string, number> {
  return new Map(Object.entries(vocabulary)) as Map<string, number>;
}

function mergePair(merge: unknown, index: number, where: string): readonly [string, string] {
  if (typeof merge === "string") return splitMerge(merge, index, `${where}.merges`);
  if (Array.isArray(merge) && merge.length === 2 && merge.every((half) => typeof half === "string")) {
    return merge as unknown as [string, string];
  }
  throw malformed(`merge ${index} is neither "left right" nor a pair of strings`, `${where}.merges`);
}

function addedToken(token: Json, where: string): AddedToken {
  if (token.single_word === true) throw unsupported("an added token with single_word", where);
  const special = token.special === true;
  return {
    id: token.id as number,
    content: string(token.content, where),
    special,
    normalized: typeof token.normalized === "boolean" ? token.normalized : !special,
    lstrip: token.lstrip === true,
    rstrip: token.rstrip === true,
  };
}
