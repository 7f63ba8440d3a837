import type { ValueId } from "../ir/graph.js";
import { words } from "./words.js";

/**
 * A double-quoted literal of TypeScript with that value. Escaped are, besides what JSON escapes, all characters that
 * cannot be seen or that reorder a line, ends of comments, and the openings of template placeholders.
 */
export function quote(text: string): string {
  return JSON.stringify(text)
    .replace(/[\p{C}\p{Z}]/gu, (character) => (character === " " ? " " : `\\u{${codePoint(character)}}`))
    .replace(/\*\//g, "*\\/")
    .replace(/`/g, "\\`")
    .replace(/\$\{/g, "$\\{")
    .replace(/\{(?=\{)/g, "{\\");
}

function codePoint(character: string): string {
  return character.codePointAt(0)!.toString(16);
}

/**
 * The layer of a value that a graph.ts says nothing of: the number in `layer<number>_<part>`, else null. The only place that
 * reads a layer from a name, and only of this file's text: `layer` of nodes says it everywhere else.
 */
export function layerByName(id: ValueId): number | null {
  const number = /^layer(\d{1,6})_./s.exec(id)?.[1];
  return number === undefined ? null : Number(number);
}

/** A constant's name per value: its id where that is a plain identifier, else one like it. No two are the same. */
export function constantNames(ids: readonly ValueId[]): ReadonlyMap<ValueId, string> {
  const plain = (id: string) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(id) && !reserved.has(id);
  const taken = new Set<string>(ids.filter(plain));
  const names = new Map<ValueId, string>();
  for (const id of ids) {
    const stem = id
      .replace(/[^A-Za-z0-9_]/g, "_")
      .replace(/^(?![A-Za-z_])/, "_")
      .slice(0, 60);
    names.set(id, plain(id) ? id : freeName(stem, taken));
    taken.add(names.get(id)!);
  }
  return names;
}

/** A name like `stem` that is neither reserved nor taken. */
export function freeName(stem: string, taken: ReadonlySet<string>): string {
  let name = reserved.has(stem) ? `${stem}_` : stem;
  for (let count = 2; taken.has(name); count++) name = `${stem}_${count}`;
  return name;
}

/** What a constant of a module, or of a script, must not be called. */
const reserved: ReadonlySet<string> = new Set([
  ...words,
  ..."break case catch class const continue debugger default delete do else enum export extends false finally".split(
    " ",
  ),
  ..."for function if import in instanceof new null return super switch this throw true try typeof var".split(
    " ",
  ),
  ..."void while with implements interface let package private protected public static yield await".split(
    " ",
  ),
  ..."arguments eval undefined globalThis require exports module Object Promise __esModule NaN Infinity".split(
    " ",
  ),
]);
