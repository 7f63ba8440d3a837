/** A setup of vitest: arrays of numbers that have the same bytes are equal. It compares them number by number otherwise, for some microseconds each. */

import { expect } from "vitest";

/** True of typed arrays of one kind with the same bytes; whatever else is left to vitest, which tells what differs. */
function haveSameBytes(a: unknown, b: unknown): true | undefined {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b) || a.constructor !== b.constructor) return undefined;
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
  return bytes(a).equals(bytes(b)) ? true : undefined;
}

/** Suites that share a process have it once. */
const shared: { haveSameBytes?: true } = globalThis as object;
if (shared.haveSameBytes === undefined) expect.addEqualityTesters([haveSameBytes]);
shared.haveSameBytes = true;
