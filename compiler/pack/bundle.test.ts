import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { temporaryFolder } from "../testing/fixtures.js";
import { writeBundle } from "./bundle.js";
import { Journal } from "./journal.js";

const pieces = Array.from({ length: 9 }, (_, index) =>
  Uint8Array.from({ length: 1000 + 977 * index }, (_, i) => (i * 31 + index * 7) & 255),
);
let end = 0;
const ends = pieces.map((piece) => {
  end += piece.length;
  return end;
});
const total = ends.at(-1)!;

/** The section of pieces; it fails before the piece `failAt`, and notes where it was begun. */
function section(begun: number[], failAt = pieces.length) {
  return {
    name: "weights",
    ends: new Set(ends),
    async *chunks(begin: number) {
      begun.push(begin);
      let end = 0;
      for (const [index, piece] of pieces.entries()) {
        end += piece.length;
        if (end <= begin) continue;
        if (index === failAt) throw new Error("killed");
        // Two chunks a piece: a build may stop between them.
        yield piece.subarray(0, 500);
        yield piece.subarray(500);
      }
    },
  };
}

const head = [{ name: "manifest", chunks: [new TextEncoder().encode("{}")] }];
const digest = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");

async function whole(folder: string): Promise<string> {
  const path = join(folder, "whole.gsi");
  await writeBundle(path, head, section([]));
  return digest(path);
}

test("an interrupted file is gone on with where its pieces agree with the journal", async () => {
  const folder = await temporaryFolder();
  const expected = await whole(folder);
  let number = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: pieces.length - 1 }),
      fc.constantFrom("nothing", "flip", "cut", "torn journal", "grown"),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      async (failAt, damage, where) => {
        const path = join(folder, `${number++}.gsi`);
        const journal = () => new Journal(`${path}.journal`, "key");
        const first = writeBundle(path, head, section([], failAt), { journal: journal() });
        await expect(first).rejects.toThrow("killed");
        const done = failAt === 0 ? 0 : ends[failAt - 1]!;
        const begin = 4096 * 2;
        const at = Math.floor(where * done);
        if (damage === "flip" && done > 0) {
          const bytes = readFileSync(path);
          bytes[begin + at]! ^= 1;
          writeFileSync(path, bytes);
        } else if (damage === "cut") truncateSync(path, begin + at);
        else if (damage === "torn journal") {
          const text = readFileSync(`${path}.journal`);
          truncateSync(`${path}.journal`, Math.floor(where * text.length));
        } else if (damage === "grown") appendFileSync(path, "more");
        const begun: number[] = [];
        const seen: number[] = [];
        await writeBundle(path, head, section(begun), {
          journal: journal(),
          progress: (count) => seen.push(count),
        });
        expect(digest(path)).toBe(expected);
        const good = ends.filter((end) => end <= (damage === "flip" || damage === "cut" ? at : done)).at(-1);
        if (damage !== "torn journal") expect(begun).toEqual([good ?? 0]);
        expect(seen.at(-1)).toBe(total);
      },
    ),
    { numRuns: 60 },
  );
});

test("a journal of other contents, and the file that it is of, are not used", async () => {
  const folder = await temporaryFolder();
  const path = join(folder, "a.gsi");
  const failed = writeBundle(path, head, section([], 5), { journal: new Journal(`${path}.journal`, "one") });
  await expect(failed).rejects.toThrow("killed");
  const begun: number[] = [];
  await writeBundle(path, head, section(begun), { journal: new Journal(`${path}.journal`, "other") });
  expect(begun).toEqual([0]);
  expect(digest(path)).toBe(await whole(folder));
});

test("without a journal the file must be new", async () => {
  const path = join(await temporaryFolder(), "a.gsi");
  writeFileSync(path, "");
  await expect(writeBundle(path, head, section([]))).rejects.toMatchObject({ code: "output-unwritable" });
  expect(existsSync(`${path}.journal`)).toBe(false);
});
