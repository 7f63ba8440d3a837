import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { hashOf } from "./cache.js";

/**
 * A hash of the headers that a source includes from `folder`, directly or through others: what its object depends on
 * beside its own text. An include counts even where the preprocessor leaves it out.
 */
export class Includes {
  private readonly texts = new Map<string, Promise<string>>();

  constructor(private readonly folder: string) {}

  async hash(source: string): Promise<string> {
    const found = new Map<string, string>();
    await this.collect(source, found);
    return hashOf(...[...found].sort(([a], [b]) => (a < b ? -1 : 1)).flat());
  }

  private async collect(text: string, found: Map<string, string>): Promise<void> {
    for (const [, header] of text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)) {
      if (found.has(header!)) continue;
      const content = await this.read(header!);
      found.set(header!, content);
      await this.collect(content, found);
    }
  }

  private read(header: string): Promise<string> {
    // What is not there, the compiler misses.
    const known = this.texts.get(header) ?? readFile(join(this.folder, header), "utf8").catch(() => "");
    this.texts.set(header, known);
    return known;
  }
}
