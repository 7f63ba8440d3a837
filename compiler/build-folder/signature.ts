/** Signatures of builds: Ed25519 over `checksums.json`, by a key of the user's. */

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildFiles } from "../config/build-files.js";
import { readText, readWhole } from "../read/file.js";
import { GsicError, messageOf } from "../support/errors.js";
import { writeWhole } from "../support/replace-file.js";
import { readChecksums } from "./checksums.js";

/** No PEM file of a key, and no signature, is a hundredth of this. */
const maxKeyBytes = 1 << 16;
const maxRecordBytes = 1 << 24;

/** Signs a build with a private key in PEM. Throws `key-unreadable` (category usage), and as `readChecksums`. */
export async function signBuild(folder: string, keyFile: string): Promise<void> {
  const key = keyOf(keyFile, createPrivateKey);
  readChecksums(folder);
  const signature = sign(null, recordOf(folder), key).toString("base64");
  await writeWhole(join(folder, buildFiles.signature), `${signature}\n`);
}

/** Whether a build has a signature. */
export function isSigned(folder: string): boolean {
  return existsSync(join(folder, buildFiles.signature));
}

/**
 * Checks the signature of a build's record with a public key in PEM. Throws `key-unreadable` (category usage),
 * `signature-missing` and `signature-wrong` (category data).
 */
export function checkSignature(folder: string, keyFile: string): void {
  const key = keyOf(keyFile, createPublicKey);
  const file = join(folder, buildFiles.signature);
  const hint = "get the build from whoever signs it, or check the key";
  if (!isSigned(folder))
    throw new GsicError({
      category: "data",
      code: "signature-missing",
      message: "this build is not signed",
      where: file,
      hint,
    });
  const signature = Buffer.from(readText(file, maxKeyBytes), "base64");
  if (verify(null, recordOf(folder), key, signature)) return;
  throw new GsicError({
    category: "data",
    code: "signature-wrong",
    message: "the signature is not this key's, or the record was changed after it was signed",
    where: file,
    hint,
  });
}

function recordOf(folder: string): Uint8Array {
  return readWhole(join(folder, buildFiles.checksums), maxRecordBytes);
}

function keyOf(file: string, read: (pem: string) => KeyObject): KeyObject {
  const pem = readText(file, maxKeyBytes);
  try {
    const key = read(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
    throw new Error(`it is a key for ${key.asymmetricKeyType}`);
  } catch (cause) {
    throw new GsicError({
      category: "usage",
      code: "key-unreadable",
      message: `this is no key for Ed25519 in PEM: ${messageOf(cause)}`,
      where: file,
      hint: "make one: openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub.pem",
      cause,
    });
  }
}
