import { GsicError, messageOf } from "../support/errors.js";

/** What a check found. */
export interface Check {
  /** A stable name for scripts. */
  readonly id: string;
  readonly title: string;
  readonly verdict: "ok" | "missing, optional" | "broken";
  /** What is there, or what is wrong. */
  readonly found: string;
  /** The command, or the step, that puts it right; null where nothing is wrong. */
  readonly fix: string | null;
  /** Figures for scripts. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What a check is about, and what to do where it fails. */
interface Subject {
  readonly id: string;
  readonly title: string;
  /** Where a failure says nothing better. */
  readonly fix: string;
  /** What is missing here is of no importance to a build for this machine's CPU. */
  readonly optional?: boolean;
}

/** What there is to say of a subject that is in order. */
type Finding = string | { readonly found: string; readonly details: Check["details"] };

/** Looks at a subject: in order, unless `look` throws. */
export async function check(
  { id, title, fix, optional = false }: Subject,
  look: () => Promise<Finding> | Finding,
): Promise<Check> {
  try {
    const finding = await look();
    const { found, details } = typeof finding === "string" ? { found: finding, details: undefined } : finding;
    return { id, title, verdict: "ok", found, fix: null, ...(details && { details }) };
  } catch (error) {
    const found = messageOf(error).split("\n")[0]!;
    const step = error instanceof GsicError ? (error.hint ?? fix) : fix;
    return { id, title, verdict: optional ? "missing, optional" : "broken", found, fix: step };
  }
}
