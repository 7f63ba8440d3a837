import { generateKeyPairSync } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { writeBundle } from "../pack/bundle.js";
import { compareWithChecksums, readChecksums, recordChecksums, updateChecksums } from "./checksums.js";
import { checkSignature, isSigned, signBuild } from "./signature.js";

const root = mkdtempSync(join(tmpdir(), "gsic-checksums-"));
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);
let folder = "";
let count = 0;

afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A folder with a bundle of three sections, a folder and a report. */
beforeEach(async () => {
  folder = join(root, `build-${count++}`);
  mkdirSync(join(folder, "kernels"), { recursive: true });
  writeFileSync(join(folder, "report.json"), "{}\n");
  writeFileSync(join(folder, "kernels/a.cpp"), "int a;\n");
  writeFileSync(join(folder, "kernels/empty.h"), "");
  const sections = [
    { name: "manifest", chunks: [bytes(5000, 1)] },
    { name: "code:cpu", chunks: [bytes(100, 2)] },
  ];
  const weights = {
    name: "weights",
    ends: new Set<number>(),
    async *chunks() {
      yield bytes(9000, 3);
    },
  };
  await writeBundle(join(folder, "m.gsi"), sections, weights);
  await recordChecksums(folder);
});

const change = (file: string, at: number) => {
  const content = readFileSync(join(folder, file));
  content[at]! ^= 4;
  writeFileSync(join(folder, file), content);
};

test("a build that is what was recorded has no differences, wherever it is", async () => {
  expect(await compareWithChecksums(folder)).toEqual([]);
  expect(readChecksums(folder).parts.map(({ file, section, bytes: size }) => [file, section, size])).toEqual([
    ["kernels/a.cpp", undefined, 7],
    ["kernels/empty.h", undefined, 0],
    ["m.gsi", "header", 4096 + (4096 * 2 - 5000) + (4096 - 100) + (4096 * 3 - 9000)],
    ["m.gsi", "manifest", 5000],
    ["m.gsi", "code:cpu", 100],
    ["m.gsi", "weights", 9000],
    ["report.json", undefined, 3],
  ]);
  const copy = `${folder}-copy`;
  cpSync(folder, copy, { recursive: true });
  expect(await compareWithChecksums(copy)).toEqual([]);
});

test("a changed byte anywhere is found, with its file and section", async () => {
  const cases = [
    ["kernels/a.cpp", 3, null],
    ["report.json", 0, null],
    ["m.gsi", 24, "header"],
    ["m.gsi", 300, "header"],
    ["m.gsi", 4096, "manifest"],
    ["m.gsi", 4096 + 5000, "header"],
    ["m.gsi", 4096 * 3, "code:cpu"],
    ["m.gsi", 4096 * 4 + 8999, "weights"],
    ["m.gsi", 4096 * 7 - 1, "header"],
  ] as const;
  for (const [file, at, section] of cases) {
    change(file, at);
    expect(await compareWithChecksums(folder), `${file} ${at}`).toEqual([{ file, section, what: "changed" }]);
    change(file, at);
  }
  // Without its magic it is no bundle: none of its parts is there.
  change("m.gsi", 0);
  const found = await compareWithChecksums(folder);
  expect(found.map(({ what }) => what)).toEqual(["missing", "missing", "missing", "missing", "not recorded"]);
});

test("files that are missing, that were added, and that are no files are found", async () => {
  rmSync(join(folder, "kernels/a.cpp"));
  writeFileSync(join(folder, "more.so"), "");
  expect(await compareWithChecksums(folder)).toEqual([
    { file: "kernels/a.cpp", section: null, what: "missing" },
    { file: "more.so", section: null, what: "not recorded" },
  ]);
  symlinkSync("/etc/passwd", join(folder, "link"));
  await expect(compareWithChecksums(folder)).rejects.toMatchObject({ code: "build-not-plain" });
});

test("a record that is missing or none is refused", async () => {
  const file = join(folder, "checksums.json");
  for (const text of [
    "{",
    "null",
    '{"parts": 1}',
    '{"parts": [{"file": "a", "bytes": 1, "sha256": "0"}]}',
    '{"parts": [null]}',
  ]) {
    writeFileSync(file, text);
    await expect(compareWithChecksums(folder), text).rejects.toMatchObject({ code: "checksums-malformed" });
  }
  rmSync(file);
  await expect(compareWithChecksums(folder)).rejects.toMatchObject({ code: "checksums-missing" });
  await updateChecksums(folder, ["report.json"]);
});

test("what was measured later is recorded anew, and nothing else", async () => {
  writeFileSync(join(folder, "report.json"), "{ }\n");
  change("kernels/a.cpp", 0);
  await updateChecksums(folder, ["report.json"]);
  expect(await compareWithChecksums(folder)).toEqual([
    { file: "kernels/a.cpp", section: null, what: "changed" },
  ]);
});

test("a signature holds for its key and its record alone", async () => {
  const key = (name: string) => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const files = [`${folder}-${name}.pem`, `${folder}-${name}.pub.pem`] as const;
    writeFileSync(files[0], privateKey.export({ type: "pkcs8", format: "pem" }));
    writeFileSync(files[1], publicKey.export({ type: "spki", format: "pem" }));
    return files;
  };
  const [mine, minePublic] = key("mine");
  const [, otherPublic] = key("other");
  const refused = (code: string) => expect.objectContaining({ code });
  expect(() => checkSignature(folder, minePublic)).toThrow(refused("signature-missing"));
  await signBuild(folder, mine);
  expect(isSigned(folder)).toBe(true);
  checkSignature(folder, minePublic);
  expect(await compareWithChecksums(folder)).toEqual([]);
  expect(() => checkSignature(folder, otherPublic)).toThrow(refused("signature-wrong"));
  writeFileSync(join(folder, "report.json"), "{ }\n");
  await recordChecksums(folder);
  expect(() => checkSignature(folder, minePublic)).toThrow(refused("signature-wrong"));
  for (const text of ["", "nonsense", "AAAA"]) {
    writeFileSync(join(folder, "checksums.sig"), text);
    expect(() => checkSignature(folder, minePublic)).toThrow(refused("signature-wrong"));
  }

  const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
  writeFileSync(`${folder}-rsa.pem`, rsa.privateKey.export({ type: "pkcs8", format: "pem" }));
  for (const file of [`${folder}-rsa.pem`, join(folder, "report.json")])
    await expect(signBuild(folder, file)).rejects.toMatchObject({ code: "key-unreadable" });
});
