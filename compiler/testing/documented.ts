/**
 * Part of `npm run check`: what is exported has a doc comment. Prints each that has none, with its place, and ends with
 * code 1; tests and their helpers are left out.
 */

import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type ExportedDeclarations, Node, Project } from "ts-morph";
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

/** `file:line: name` of every exported declaration below `root` that has no doc comment. */
export function undocumented(root: string): string[] {
  const project = new Project({ compilerOptions: { allowJs: false }, skipAddingFilesFromTsConfig: true });
  project.addSourceFilesAtPaths(
    sources.map((one) => (one.startsWith("!") ? `!${root}/${one.slice(1)}` : `${root}/${one}`)),
  );
  return project
    .getSourceFiles()
    .flatMap((file) =>
      [...file.getExportedDeclarations()].flatMap(([name, declarations]) =>
        declarations
          .filter((one) => one.getSourceFile() === file && !isDocumented(one))
          .map((one) => `${relative(root, file.getFilePath())}:${one.getStartLineNumber()}: ${name}`),
      ),
    );
}

function isDocumented(declaration: ExportedDeclarations): boolean {
  const documented = Node.isVariableDeclaration(declaration)
    ? declaration.getVariableStatement()
    : declaration;
  return documented === undefined || !Node.isJSDocable(documented) || documented.getJsDocs().length > 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = undocumented(packageRoot);
  for (const one of found) process.stderr.write(`${one} is exported and has no doc comment\n`);
  process.exitCode = found.length > 0 ? 1 : 0;
}
