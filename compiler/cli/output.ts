import { GsicError } from "../support/errors.js";

/** Prints a result; everything else goes to standard error. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** An error of category usage in what was typed. */
export function usage(code: string, message: string, hint: string): GsicError {
  return new GsicError({ category: "usage", code, message, hint });
}
