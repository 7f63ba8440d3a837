/** Exit codes of the command line; scripts rely on them. */
export const exitCodes = {
  /** A defect of gsic. */
  defect: 1,
  /** Wrong usage or configuration. */
  usage: 2,
  /** The model or the data is bad. */
  data: 3,
  /** A tool or a device is missing. */
  environment: 4,
  /** The quality budget cannot be met. */
  budget: 5,
} as const;

/** What is wrong, by who can put it right; each has an exit code of its own. */
export type ErrorCategory = keyof typeof exitCodes;

/** What an error carries besides its message. */
export interface ErrorDetails {
  /** Decides the exit code. */
  readonly category: ErrorCategory;
  /** A stable, lower-case, hyphenated name that scripts and tests can match, such as `gguf-truncated`. */
  readonly code: string;
  /** What is wrong, as one sentence without the place. */
  readonly message: string;
  /** Where: the file and the place in it (line and column, key, tensor, byte offset). */
  readonly where?: string;
  /** What the person who made the mistake can do next. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** The one error type that gsic throws on purpose; anything else that reaches `cli/cli.ts` is a defect. */
export class GsicError extends Error {
  readonly category: ErrorCategory;
  readonly code: string;
  readonly where: string | undefined;
  readonly hint: string | undefined;

  constructor(details: ErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "GsicError";
    this.category = details.category;
    this.code = details.code;
    this.where = details.where;
    this.hint = details.hint;
  }

  get exitCode(): number {
    return exitCodes[this.category];
  }
}

/** An `Error`'s message, or the text of anything else that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
