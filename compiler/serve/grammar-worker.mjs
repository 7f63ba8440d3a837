/**
 * A thread that compiles grammars and says which tokens may come next, by XGrammar. It is of its own because a grammar
 * comes from a client: one that cannot be compiled ends the library, and one that takes too long can be ended only
 * together with its thread.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { compileFunction, constants } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";

/** @typedef {typeof import("@mlc-ai/web-xgrammar")} XGrammar */
/** @typedef {import("@mlc-ai/web-xgrammar").CompiledGrammar} Grammar */
/** @typedef {{ matcher: import("@mlc-ai/web-xgrammar").GrammarMatcher, ids: number[] }} Text */

const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort);
const { words, stopIds } = /** @type {{ words: (Uint8Array | null)[], stopIds: number[] }} */ (workerData);

/**
 * The library. Its file is CommonJS, though its package says that it is a module, so it is not simply imported.
 * @returns {XGrammar}
 */
function loadLibrary() {
  const file = createRequire(import.meta.url).resolve("@mlc-ai/web-xgrammar");
  const module = { exports: /** @type {any} */ ({}) };
  compileFunction(readFileSync(file, "utf8"), ["module", "exports", "require", "__filename"], {
    filename: file,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })(module, module.exports, createRequire(file), file);
  return module.exports;
}

/**
 * The characters by which byte-level tokenizers write bytes: those that can be printed stand for themselves, and the
 * others for characters from 256 on. So any bytes can be given as a text.
 */
const byteCharacters = (() => {
  const shown = (/** @type {number} */ byte) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(shown(byte) ? byte : next++));
})();

const spell = (/** @type {Uint8Array | null} */ word) =>
  word === null ? "" : Array.from(word, (byte) => byteCharacters[byte]).join("");

/** What the library said last: when it fails, that is why, behind a place in its own source. */
let said = "";
console.error = (...parts) => {
  const text = parts.join(" ");
  if (text.includes("[FATAL]"))
    said = text.replace(/^.*?\[FATAL\] \S+ (Check failed: \(.*?\) is \w+: )?/, "");
};

const library = loadLibrary();
const vocabulary = words.map(spell);
const tokens = await library.TokenizerInfo.createTokenizerInfo(
  vocabulary,
  "byte_level",
  false,
  vocabulary.length,
  stopIds,
);
const compiler = await library.GrammarCompiler.createGrammarCompiler(tokens, false);
/** @type {Map<number, Grammar>} */
const grammars = new Map();
/** @type {Map<number, Text>} */
const texts = new Map();

/**
 * Values of a schema on one line, with the spaces of Python's json.dumps: there is little to choose but values.
 * @param {unknown} schema
 * @param {boolean} strict
 */
const schemaGrammar = (schema, strict) =>
  library.Grammar.fromJSONSchema(JSON.stringify(schema), false, -1, [", ", ": "], strict);

/**
 * A structural tag whose schemas are grammars: the library would let their values stand in any whitespace.
 * @param {any} format
 * @returns {Promise<any>}
 */
async function onOneLine(format) {
  if (Array.isArray(format)) return Promise.all(format.map(onOneLine));
  if (typeof format !== "object" || format === null) return format;
  if (format.type === "json_schema") {
    const grammar = await schemaGrammar(format.json_schema, true);
    const text = grammar.toString();
    grammar.dispose();
    return { type: "grammar", grammar: text };
  }
  const fields = Object.entries(format).map(async ([name, value]) => [name, await onOneLine(value)]);
  return Object.fromEntries(await Promise.all(fields));
}

/** @param {any} spec GrammarSpec of grammars.ts */
async function compile(spec) {
  switch (spec.kind) {
    case "schema": {
      const grammar = await schemaGrammar(spec.schema, spec.strict);
      const compiled = await compiler.compileGrammar(grammar);
      grammar.dispose();
      return compiled;
    }
    case "grammar":
      return compiler.compileGrammar(spec.grammar);
    case "tags":
      return compiler.compileStructuralTag({ type: "structural_tag", format: await onOneLine(spec.format) });
    default:
      throw new Error(`there is no kind ${spec.kind}`);
  }
}

/**
 * Brings a matcher to the tokens of a text: those behind where it differs are taken back.
 * @param {Text} text
 * @param {Int32Array} ids
 */
function follow(text, ids) {
  let alike = 0;
  while (alike < text.ids.length && alike < ids.length && text.ids[alike] === ids[alike]) alike++;
  if (alike < text.ids.length) text.matcher.rollBack(text.ids.length - alike);
  text.ids.length = alike;
  for (const id of ids.subarray(alike)) {
    // Behind the end, or behind what does not belong to the text, nothing is asked.
    if (text.matcher.isTerminated() || !text.matcher.acceptToken(id)) return false;
    text.ids.push(id);
  }
  return !text.matcher.isTerminated();
}

/**
 * What may come behind each of some tokens that might go on with a text, up to the first that may not.
 * @param {Text} text
 * @param {Int32Array} ids
 */
async function masksAhead(text, ids) {
  const masks = [];
  for (const id of ids) {
    if (!text.matcher.acceptToken(id)) break;
    masks.push(await text.matcher.getNextTokenBitmask());
  }
  if (masks.length > 0) text.matcher.rollBack(masks.length);
  return masks;
}

/** @param {any} question Question of grammars.ts */
async function answer(question) {
  const text = texts.get(question.text);
  switch (question.kind) {
    case "try":
      (await compile(question.spec)).dispose();
      return {};
    case "compile":
      grammars.set(question.grammar, await compile(question.spec));
      return {};
    case "begin": {
      const grammar = /** @type {Grammar} */ (grammars.get(question.grammar));
      const matcher = await library.GrammarMatcher.createGrammarMatcher(grammar, stopIds, false);
      texts.set(question.text, { matcher, ids: [] });
      return {};
    }
    case "next":
      if (text === undefined) throw new Error("there is no such text");
      if (!follow(text, question.ids)) return { masks: [], ahead: "" };
      return {
        masks: [await text.matcher.getNextTokenBitmask()],
        ahead: text.matcher.findJumpForwardString(),
      };
    case "ahead":
      if (text === undefined) throw new Error("there is no such text");
      return { masks: await masksAhead(text, question.ids) };
    case "end":
      text?.matcher.dispose();
      texts.delete(question.text);
      return {};
    case "drop":
      grammars.get(question.grammar)?.dispose();
      grammars.delete(question.grammar);
      return {};
    default:
      throw new Error(`there is no ${question.kind}`);
  }
}

port.postMessage({ ready: true });

// One at a time, in the order in which they come.
let last = Promise.resolve();
port.on("message", (message) => {
  last = last.then(async () => {
    try {
      port.postMessage({ call: message.call, result: await answer(message) });
    } catch (error) {
      port.postMessage({ call: message.call, error: said || String(error) });
    }
  });
});
