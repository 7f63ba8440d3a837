/** What lies in a build folder under a name of its own, beside what bears the model's name (`namedFiles`). */
export const buildFiles = {
  graph: "graph.ts",
  bindings: "index.ts",
  header: "gsic.h",
  kernels: "kernels",
  program: "program.json",
  report: "report.json",
  page: "report.html",
  /** What the other files and the bundle's sections are, by SHA-256. */
  checksums: "checksums.json",
  /** Only of builds that somebody signed. */
  signature: "checksums.sig",
  /** Only of models that say how conversations are written. */
  chatTemplate: "chat_template.jinja",
} as const;

/** The executable, the shared library, and the bundle. */
export function namedFiles(name: string) {
  return { executable: name, library: `lib${name}.so`, bundle: `${name}.gsi` };
}

/** Names that a model cannot have: its executable would take the place of another file of the build. */
export const reservedNames: readonly string[] = Object.values(buildFiles);
