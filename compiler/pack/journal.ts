import { type FileHandle, open, readFile, rename, writeFile } from "node:fs/promises";

/** A piece of a section that is written: where it ends, and the XXH64 of the section up to there. */
export interface Written {
  readonly end: number;
  readonly hash: bigint;
}

const firstLine = (key: string) => `gsic-journal 1 ${key}\n`;

/**
 * What a build has written of a file's long section, in a file beside it: a line for every piece, added when the piece
 * is written. A build that finds the journal of a killed one with its own key, the hash of everything that the file is
 * made from, goes on from there.
 */
export class Journal {
  private handle: FileHandle | undefined;

  constructor(
    /** Path of the journal. */
    readonly file: string,
    private readonly key: string,
  ) {}

  /** What a killed build noted under the same key; null if there is no such journal. A torn last line is left out. */
  async read(): Promise<Written[] | null> {
    const text = await readFile(this.file, "latin1").catch(() => "");
    const head = firstLine(this.key);
    if (!text.startsWith(head)) return null;
    const written: Written[] = [];
    for (const line of text.slice(head.length).split("\n").slice(0, -1)) {
      const fields = /^(\d{1,16}) ([0-9a-f]{16})$/.exec(line);
      if (fields === null) break;
      written.push({ end: Number(fields[1]), hash: BigInt(`0x${fields[2]}`) });
    }
    return written;
  }

  /** Begins the journal anew, with what is written already. */
  async restart(written: readonly Written[]): Promise<void> {
    await this.close();
    // In the place of the earlier one when it is whole: a build that is killed here loses nothing.
    const beside = `${this.file}.new`;
    await writeFile(beside, firstLine(this.key) + written.map(lineOf).join(""));
    await rename(beside, this.file);
    this.handle = await open(this.file, "a");
  }

  async record(piece: Written): Promise<void> {
    await this.handle?.appendFile(lineOf(piece));
  }

  async close(): Promise<void> {
    await this.handle?.close();
    this.handle = undefined;
  }
}

function lineOf({ end, hash }: Written): string {
  return `${end} ${hash.toString(16).padStart(16, "0")}\n`;
}
