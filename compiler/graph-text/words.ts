import * as vocabulary from "./vocabulary.js";

/** Every function and constant of `vocabulary.ts` that a graph.ts may use, in alphabetical order. */
export const words: readonly string[] = Object.keys(vocabulary).sort();

/** Those of them that are not called, such as `dense`. */
export const constants: ReadonlySet<string> = new Set(
  Object.entries(vocabulary).flatMap(([name, value]) => (typeof value === "function" ? [] : [name])),
);
