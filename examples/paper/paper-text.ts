/** The paper's text: one sequence of 512 tokens that is both calibrated on and measured. */

import { readFileSync } from "node:fs";
import type { TextTokenizer } from "../../compiler/read/tokenizer.js";

/** The longest beginning of a text that ends where a word ends and has at most `limit` tokens. */
export function beginning(text: string, tokenizer: TextTokenizer, limit: number): string {
  const count = (end: number) => tokenizer.encode(text.slice(0, end), { parseSpecial: false }).length;
  // Eight characters a token are more than any text needs.
  const ends = [...text.slice(0, 8 * limit).matchAll(/\S(?=\s)/g)].map(({ index }) => index + 1);
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (count(ends[middle]!) <= limit) low = middle + 1;
    else high = middle;
  }
  return text.slice(0, low === 0 ? 0 : ends[low - 1]!);
}

/** That of the first of some files. */
export function beginningOfFile(file: string, tokenizer: TextTokenizer, limit: number): string {
  return beginning(readFileSync(file, "utf8"), tokenizer, limit);
}
