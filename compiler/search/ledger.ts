import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeCacheFolder } from "../support/cache-folder.js";

/**
 * Results of long computations by name, in a JSON file that is replaced whole after every new one: what was computed
 * before an interruption is not computed again. Whatever results depend on must be part of the file's name. A file that
 * is no JSON object counts as empty.
 */
export class Ledger {
  private constructor(
    private readonly file: string,
    private readonly results: Map<string, unknown>,
  ) {}

  static async open(file: string): Promise<Ledger> {
    await makeCacheFolder(dirname(file));
    return new Ledger(file, new Map(existsSync(file) ? await entriesOf(file) : []));
  }

  has(name: string): boolean {
    return this.results.has(name);
  }

  /** A result that is there. */
  read<T>(name: string): T {
    if (!this.results.has(name)) throw new Error(`the ledger has no ${JSON.stringify(name)}`);
    return this.results.get(name) as T;
  }

  /** The result of that name; computed and kept if there is none. It must survive JSON. */
  async get<T>(name: string, compute: () => Promise<T>): Promise<T> {
    if (this.results.has(name)) return this.results.get(name) as T;
    const result = await compute();
    await this.add([[name, result]]);
    return result;
  }

  /** Keeps several results at once. */
  async add(results: Iterable<readonly [string, unknown]>): Promise<void> {
    for (const [name, result] of results) this.results.set(name, result);
    const part = `${this.file}.${process.pid}.part`;
    await writeFile(part, JSON.stringify(Object.fromEntries(this.results)));
    await rename(part, this.file);
  }
}

async function entriesOf(file: string): Promise<[string, unknown][]> {
  try {
    const document: unknown = JSON.parse(await readFile(file, "utf8"));
    return typeof document === "object" && document !== null ? Object.entries(document) : [];
  } catch {
    return [];
  }
}
