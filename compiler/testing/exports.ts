/**
 * Part of `npm run check`: what is exported has a doc comment, and a user in another file. Prints each export that lacks
 * one, with its place, and ends with code 1. What tests and their helpers export is left out; as users they count.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, extname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type ExportedDeclarations, Node, Project, type SourceFile } from "ts-morph";
import { packageRoot } from "../support/paths.js";

/** Where production sources lie, and what among them is none. */
const sources = [
  "compiler/**/*.ts",
  "templates/**/*.ts",
  "!compiler/testing/**",
  "!compiler/report-html/page/**",
  "!**/*.test.ts",
  "!**/*.d.ts",
];

/**
 * What others import, as package.json's `exports` say; the contract with templates, which a test reads as text; and what
 * the types of exported values are inferred from.
 */
const published = [
  "compiler/load.ts",
  "compiler/chat.ts",
  "compiler/graph-text/vocabulary.ts",
  "compiler/graph-text/codec-fields.ts",
  "templates/params.ts",
  "templates/gpu-params.ts",
];

/** Where users of exports lie. */
const users = ["compiler", "templates", "runtime", "examples"];

/** An exported declaration. */
interface Exported {
  readonly file: SourceFile;
  readonly name: string;
  readonly declaration: ExportedDeclarations;
}

/** What the sources below a folder export. */
export class Exports {
  readonly #all: readonly Exported[];

  constructor(private readonly root: string) {
    const project = new Project({ compilerOptions: { allowJs: false }, skipAddingFilesFromTsConfig: true });
    project.addSourceFilesAtPaths(
      sources.map((one) => (one.startsWith("!") ? `!${root}/${one.slice(1)}` : `${root}/${one}`)),
    );
    this.#all = project
      .getSourceFiles()
      .flatMap((file) =>
        [...file.getExportedDeclarations()].flatMap(([name, declarations]) =>
          declarations
            .filter((declaration) => declaration.getSourceFile() === file)
            .map((declaration) => ({ file, name, declaration })),
        ),
      );
  }

  /** `file:line: name` of every exported declaration that has no doc comment. */
  undocumented(): string[] {
    return this.#all.filter(({ declaration }) => !isDocumented(declaration)).map((one) => this.#place(one));
  }

  /** The same of every one that no other file imports, directly or from a file that exports it again. */
  unused(): string[] {
    const used = imports(this.root);
    return this.#all
      .filter(({ file, name }) => {
        const path = file.getFilePath();
        if (published.includes(relative(this.root, path))) return false;
        return !used.has(`${path} ${name}`) && !used.has(`${path} *`);
      })
      .map((one) => this.#place(one));
  }

  #place({ file, name, declaration }: Exported): string {
    return `${relative(this.root, file.getFilePath())}:${declaration.getStartLineNumber()}: ${name}`;
  }
}

function isDocumented(declaration: ExportedDeclarations): boolean {
  const documented = Node.isVariableDeclaration(declaration)
    ? declaration.getVariableStatement()
    : declaration;
  return documented === undefined || !Node.isJSDocable(documented) || documented.getJsDocs().length > 0;
}

/** `file name` of what files import of each other; the name is `*` where a file is taken whole. */
function imports(root: string): ReadonlySet<string> {
  const found = new Set<string>();
  const folders = users.map((folder) => join(root, folder)).filter((folder) => existsSync(folder));
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) => join(folder, file)),
  );
  for (const file of files.filter((one) => [".ts", ".js"].includes(extname(one)))) {
    for (const { from, names } of importsOf(readFileSync(file, "utf8"))) {
      const path = resolve(dirname(file), from.replace(/\.js$/, ".ts"));
      for (const name of names) found.add(`${path} ${name}`);
    }
  }
  return found;
}

/** What a text imports of files beside it: by declarations, by awaiting, and as types of scripts. */
function importsOf(text: string): { readonly from: string; readonly names: readonly string[] }[] {
  const declared = text.matchAll(
    /^(?:import|export) (?:type )?(?:\{([^}]*)\}|\*(?: as \w+)?) from "(\.[^"]+)"/gm,
  );
  const awaited = text.matchAll(/\{([^{}]*)\} = await import\("(\.[^"]+)"\)/g);
  const typed = text.matchAll(/import\("(\.[^"]+)"\)\)?\.(\w+)/g);
  return [
    ...[...declared, ...awaited].map(([, list, from]) => ({ from: from!, names: namesOf(list) })),
    ...[...typed].map(([, from, name]) => ({ from: from!, names: [name!] })),
  ];
}

/** The names of a list in braces, as their own file calls them; `*` without a list. */
function namesOf(list: string | undefined): string[] {
  if (list === undefined) return ["*"];
  const names = list.split(",").map((one) => one.trim().replace(/^type /, ""));
  return names.filter((name) => name !== "").map((name) => name.split(/ as |: /)[0]!);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const exports = new Exports(packageRoot);
  const found = [
    ...exports.undocumented().map((one) => `${one} is exported and has no doc comment`),
    ...exports.unused().map((one) => `${one} is exported and no other file imports it`),
  ];
  for (const one of found) process.stderr.write(`${one}\n`);
  process.exitCode = found.length > 0 ? 1 : 0;
}
