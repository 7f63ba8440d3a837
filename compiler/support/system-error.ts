import { GsicError } from "./errors.js";

const space = "free some space, or write to another disk";
const rights = "check that the path is right, and may be read and written";
const files = "let this process open more files: ulimit -n";

/** What a file system refuses whatever a program does, by Node's names, and what to do about it. */
const refusals: Readonly<Record<string, string>> = {
  ENOSPC: space,
  EDQUOT: space,
  EFBIG: space,
  EACCES: rights,
  EPERM: rights,
  EROFS: rights,
  ENOTDIR: rights,
  ENAMETOOLONG: rights,
  ELOOP: rights,
  EIO: "check the disk",
  EMFILE: files,
  ENFILE: files,
};

/** An error of Node that says what a file system refuses, as one for people; null for any other. */
export function systemError(cause: unknown): GsicError | null {
  if (!(cause instanceof Error)) return null;
  const { code = "", path, syscall } = cause as NodeJS.ErrnoException;
  const hint = Object.hasOwn(refusals, code) ? refusals[code] : undefined;
  if (syscall === undefined || hint === undefined) return null;
  const where = path === undefined ? {} : { where: path };
  return new GsicError({
    category: "environment",
    code: "file-system",
    message: cause.message,
    hint,
    cause,
    ...where,
  });
}
