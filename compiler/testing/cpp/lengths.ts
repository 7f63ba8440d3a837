import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import treeSitter, { type Node, type Parser } from "@vscode/tree-sitter-wasm";
import type { Violation } from "./sources.js";

/** As for TypeScript in biome.json; blank lines do not count. */
export const maxFileLines = 300;
export const maxFunctionLines = 60;

/** A function that is defined in a file; lines from 1. */
interface FunctionLines {
  readonly name: string;
  readonly first: number;
  readonly last: number;
}

/** Files and functions that are longer than they may be. A lambda counts as part of the function that it stands in. */
export async function lengthViolations(root: string, files: readonly string[]): Promise<Violation[]> {
  const parser = await cppParser();
  const violations: Violation[] = [];
  for (const file of files) {
    const text = await readFile(join(root, file), "utf8");
    const lines = text.split("\n");
    const inFile = writtenLines(lines);
    if (inFile > maxFileLines) {
      const what = `the file has ${inFile} lines; ${maxFileLines} are allowed`;
      violations.push({ file, line: 1, what, next: "split it by subject" });
    }
    for (const { name, first, last } of functionsOf(parser, text)) {
      const inFunction = writtenLines(lines.slice(first - 1, last));
      if (inFunction <= maxFunctionLines) continue;
      const what = `${name} has ${inFunction} lines; ${maxFunctionLines} are allowed`;
      violations.push({
        file,
        line: first,
        what,
        next: "move a part that has a name of its own to a function",
      });
    }
  }
  return violations;
}

function writtenLines(lines: readonly string[]): number {
  return lines.filter((line) => line.trim() !== "").length;
}

async function cppParser(): Promise<Parser> {
  await treeSitter.Parser.init();
  const folder = dirname(createRequire(import.meta.url).resolve("@vscode/tree-sitter-wasm"));
  const parser = new treeSitter.Parser();
  parser.setLanguage(await treeSitter.Language.load(join(folder, "tree-sitter-cpp.wasm")));
  return parser;
}

/** The functions that a C++ text defines, those of classes included. */
function functionsOf(parser: Parser, text: string): FunctionLines[] {
  const tree = parser.parse(text);
  if (tree === null) throw new Error("the parser of C++ gave no tree");
  const found = tree.rootNode.descendantsOfType("function_definition").filter((node) => node !== null);
  const functions = found.map((node) => ({
    name: nameOf(node),
    first: node.startPosition.row + 1,
    last: node.endPosition.row + 1,
  }));
  tree.delete();
  return functions;
}

/** The name of a function, with that of its class where it stands there. */
function nameOf(node: Node): string {
  let declarator = node.childForFieldName("declarator");
  while (declarator?.childForFieldName("declarator")) declarator = declarator.childForFieldName("declarator");
  return declarator?.text.split("\n")[0] ?? "a function";
}
