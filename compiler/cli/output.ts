import { GsicError } from "../support/errors.js";

/** Prints a result; everything else goes to standard error. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

let readerNeeded = false;

/** Makes it an error that nobody reads standard output: of a command that goes on after what it prints. */
export function needReader(): void {
  readerNeeded = true;
}

/** Whether `needReader` was called. */
export function isReaderNeeded(): boolean {
  return readerNeeded;
}

/** An error of category usage in what was typed. */
export function usage(code: string, message: string, hint: string): GsicError {
  return new GsicError({ category: "usage", code, message, hint });
}
