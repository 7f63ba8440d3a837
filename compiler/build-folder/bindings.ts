import { quote } from "../graph-text/print-names.js";
import type { Mode } from "../ir/program.js";

/** What the bindings of a model say. */
interface BindingFacts {
  /** Also the bundle's file name, without its extension. */
  readonly name: string;
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
  /** The default first; at least one. */
  readonly modes: readonly Mode[];
}

/**
 * The index.ts of a build: typed bindings for exactly this model, which load the bundle beside the file. Names reach
 * the text as escaped string literals only.
 */
export function bindingsText({ name, vocabulary, context, modes }: BindingFacts): string {
  const literals = modes.map(quote);
  return `// Typed bindings of this build, written by gsic. They load the bundle that lies beside this file.
import { type LoadOptions, load as loadBundle, type Model } from "gsic/load";

export const name = ${quote(name)};
/** Number of token ids: they go from 0 to ${number(vocabulary - 1)}. */
export const vocabulary = ${number(vocabulary)};
/** Longest sequence, in tokens. */
export const context = ${number(context)};
/** The modes of this build, the default first. */
export const modes = [${literals.join(", ")}] as const;
export type Mode = (typeof modes)[number];

const bundle = new URL(${quote(`./${encodeURIComponent(name)}.gsi`)}, import.meta.url);

/** Opens the model. \`for await (const { text } of (await load()).generate("Once upon")) ...\` */
export function load(options?: LoadOptions): Promise<Model<Mode>> {
  return loadBundle<Mode>(bundle, options);
}
`;
}

/** Digits in groups of three, as in graph.ts. */
function number(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "_");
}
