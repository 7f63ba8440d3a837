import type { BlockSize } from "../ir/graph.js";
import type { GsicError } from "../support/errors.js";
import { badInput, fetchAgain } from "./file.js";

/** What a size belongs to, for the error message. */
export interface SizeSubject {
  readonly file: string;
  /** The tensor, where there is one. */
  readonly tensor?: string;
  /** Byte offset in the file of the number that is checked, where it is known. */
  readonly offset?: number;
}

/** `file: tensor "name": byte 12`, with what is known of it. */
export function placeOf(subject: SizeSubject): string {
  const parts = [subject.file];
  if (subject.tensor !== undefined) {
    parts.push(`tensor ${JSON.stringify(subject.tensor)}`);
  }
  if (subject.offset !== undefined) {
    parts.push(`byte ${subject.offset}`);
  }
  return parts.join(": ");
}

/** A size, count or offset from a file as a number; throws `size-overflow` from 2^53, `size-invalid` for no size. */
export function checkedSize(value: number | bigint, what: string, subject: SizeSubject): number {
  if (value > Number.MAX_SAFE_INTEGER) {
    throw overflow(what, subject);
  }
  const size = Number(value);
  if (!Number.isSafeInteger(size) || size < 0) {
    throw badInput(
      "size-invalid",
      `the ${what} is ${value}, not a whole number from 0`,
      placeOf(subject),
      fetchAgain,
    );
  }
  return size;
}

/** Product of whole numbers; throws `size-overflow` where it reaches 2^53. Zero factors do not hide an overflow. */
export function checkedProduct(factors: readonly number[], what: string, subject: SizeSubject): number {
  let product = 1;
  let zero = false;
  for (const factor of factors) {
    const size = checkedSize(factor, what, subject);
    if (size === 0) {
      zero = true;
    } else {
      product *= size;
    }
    if (!Number.isSafeInteger(product)) {
      throw overflow(what, subject);
    }
  }
  return zero ? 0 : product;
}

/** Sum of whole numbers; throws `size-overflow` where it reaches 2^53. */
export function checkedSum(terms: readonly number[], what: string, subject: SizeSubject): number {
  let sum = 0;
  for (const term of terms) {
    sum += checkedSize(term, what, subject);
    if (!Number.isSafeInteger(sum)) {
      throw overflow(what, subject);
    }
  }
  return sum;
}

/** The smallest multiple of `alignment` that is at least `size`. */
export function checkedPadding(size: number, alignment: number, what: string, subject: SizeSubject): number {
  const rest = size % alignment;
  return rest === 0 ? checkedSum([size], what, subject) : checkedSum([size, alignment - rest], what, subject);
}

/** Whether `bytes` bytes from `offset` on lie within `size` bytes. Throws `size-overflow` as `checkedSum` does. */
export function rangeFits(offset: number, bytes: number, size: number, subject: SizeSubject): boolean {
  return checkedSum([offset, bytes], "end of the data", subject) <= size;
}

/** Elements of a shape; an empty shape is one element. */
export function checkedElements(shape: readonly number[], subject: SizeSubject): number {
  return checkedProduct(shape, "number of elements", subject);
}

/**
 * Bytes of a tensor of `shape`, outermost dimension first, in a type of `block`. Blocks lie along the last
 * dimension: throws `tensor-row-block` where it is not a whole number of them.
 */
export function checkedBytes(shape: readonly number[], block: BlockSize, subject: SizeSubject): number {
  const elements = checkedElements(shape, subject);
  const row = shape.at(-1) ?? 1;
  if (row % block.elements !== 0) {
    throw badInput(
      "tensor-row-block",
      `rows of ${row} elements cannot be stored in blocks of ${block.elements}`,
      placeOf(subject),
      "the file is damaged, or was made by a broken converter",
    );
  }
  return checkedProduct([elements / block.elements, block.bytes], "size in bytes", subject);
}

function overflow(what: string, subject: SizeSubject): GsicError {
  return badInput(
    "size-overflow",
    `the ${what} is 2^53 or more`,
    placeOf(subject),
    "the file is damaged or was made to mislead; fetch it again from a source you trust",
  );
}
