import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hashOf } from "./cache.js";

/** A header that is there, read once however many sources include it. */
interface Header {
  readonly path: string;
  readonly content: string;
  /** What it includes itself, as it is written. */
  readonly includes: readonly string[];
}

/**
 * A hash of the headers that a source includes from folders, directly or through others: what its object depends on
 * beside its own text. An include counts even where the preprocessor leaves it out; what is in none of the folders, such as
 * a system's header, does not.
 */
export class Includes {
  private readonly headers = new Map<string, Promise<Header | null>>();
  /** By folder and text. */
  private readonly hashes = new Map<string, Promise<string>>();

  /** `folders` are searched in their order, behind the folder of the file that includes. */
  constructor(private readonly folders: readonly string[]) {}

  /** The hash for a source's text; `folder` is the source's own, if it is a file. */
  hash(source: string, folder: string | null = null): Promise<string> {
    const key = `${folder}\0${source}`;
    const hash = this.hashes.get(key) ?? this.compute(source, folder);
    this.hashes.set(key, hash);
    return hash;
  }

  private async compute(source: string, folder: string | null): Promise<string> {
    const found = new Map<string, string>();
    await this.collect(includesOf(source), folder, found);
    return hashOf(...[...found.values()].sort());
  }

  /** Notes the name and the content of each header, by its path. */
  private async collect(
    names: readonly string[],
    folder: string | null,
    found: Map<string, string>,
  ): Promise<void> {
    for (const name of names) {
      const header = await this.find(name, folder);
      if (header === null || found.has(header.path)) continue;
      found.set(header.path, `${name}\0${header.content}`);
      await this.collect(header.includes, dirname(header.path), found);
    }
  }

  /** The first header of that name, as a compiler looks for it; null if there is none, which the compiler will miss. */
  private async find(name: string, folder: string | null): Promise<Header | null> {
    for (const place of folder === null ? this.folders : [folder, ...this.folders]) {
      const header = await this.read(join(place, name));
      if (header !== null) return header;
    }
    return null;
  }

  private read(path: string): Promise<Header | null> {
    const known = this.headers.get(path);
    if (known !== undefined) return known;
    const read = readFile(path, "utf8").then(
      (content) => ({ path, content, includes: includesOf(content) }),
      () => null,
    );
    this.headers.set(path, read);
    return read;
  }
}

/** What a text includes between quotation marks. */
function includesOf(text: string): string[] {
  return [...text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map(([, name]) => name!);
}
