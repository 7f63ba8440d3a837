import { GsicError, messageOf } from "./errors.js";

/** The error where a file system refuses to write: what it says, or `message`, the place, and what to do. */
export function cannotWrite(
  where: string,
  cause: unknown,
  { code, hint, message = messageOf(cause) }: { code: string; hint: string; message?: string },
): GsicError {
  return new GsicError({ category: "environment", code, message, where, hint, cause });
}
