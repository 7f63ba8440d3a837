import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { cannotWrite } from "../support/cannot-write.js";
import { GsicError } from "../support/errors.js";
import { beginningOf, isAlive } from "../support/process.js";

/**
 * Takes a lock file for `out`: it holds this process's id and when that process began. A lock of a process that is gone
 * is taken over. Throws `output-busy` (category usage) and `output-unwritable` (category environment).
 */
export async function lock(file: string, out: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    for (let attempt = 0; attempt < 5; attempt++) {
      if (await create(file)) return;
      const held = await contentOf(file);
      if (held !== null && isHeld(held)) break;
      if (held !== null) await removeAbandoned(file, held);
    }
  } catch (cause) {
    throw cannotWrite(out, cause, {
      code: "output-unwritable",
      hint: "choose a folder that can be written with --out",
    });
  }
  throw new GsicError({
    category: "usage",
    code: "output-busy",
    message: "another build writes to this folder",
    where: out,
    hint: `wait for it, or remove ${file} if it has died`,
  });
}

async function create(file: string): Promise<boolean> {
  const text = `${process.pid} ${beginningOf(process.pid) ?? ""}`.trim();
  try {
    await writeFile(file, text, { flag: "wx" });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    // A full disk makes the file, and leaves it empty.
    await rm(file, { force: true });
    throw cause;
  }
}

/** What a lock file says; null if it is gone. A process that has just made the file is given time to write it. */
async function contentOf(file: string): Promise<string | null> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const text = await readFile(file, "utf8").catch(() => null);
    if (text === null || text !== "") return text;
    await setTimeout(50);
  }
  return "";
}

/** Whether the process that wrote a lock still runs; another that was given its id since does not count. */
function isHeld(text: string): boolean {
  const [pid, beginning] = text.split(" ");
  if (!isAlive(Number(pid))) return false;
  const found = beginningOf(Number(pid));
  return beginning === undefined || found === null || found === beginning;
}

/**
 * Removes an abandoned lock, and no other: between a look at it and its removal, another process may take it over. So
 * whoever removes it holds the right to, which is a lock of its own, and looks again.
 */
async function removeAbandoned(file: string, text: string): Promise<void> {
  const right = `${file}.takeover`;
  if (await create(right)) {
    try {
      if ((await contentOf(file)) === text) await rm(file);
    } finally {
      await rm(right);
    }
    return;
  }
  const held = await contentOf(right);
  if (held !== null && !isHeld(held)) await removeAbandoned(right, held);
  else await setTimeout(10);
}
