import { closest } from "fastest-levenshtein";
import { GsicError } from "../support/errors.js";

type Table = Readonly<Record<string, unknown>>;

/** Typed access to one table of a target's file; what is wrong in it throws `target-invalid` (category usage). */
export class Fields {
  constructor(
    private readonly file: string,
    private readonly section: string,
    private readonly table: Table,
  ) {}

  /** A table within this one, whose keys are among `allowed`. */
  inner(section: string, allowed: readonly string[]): Fields {
    const value = this.table[section];
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw invalid(this.file, section, "the table is missing", `begin it with [${section}]`);
    const fields = new Fields(this.file, section, value as Table);
    fields.refuseUnknown(allowed);
    return fields;
  }

  /** The positive numbers of a table within this one, whose keys are among `allowed`; without the table none. */
  numbers(section: string, allowed: readonly string[]): ReadonlyMap<string, number> {
    if (this.table[section] === undefined) return new Map();
    const fields = this.inner(section, allowed);
    return new Map(Object.keys(fields.table).map((key) => [key, fields.positive(key)]));
  }

  /** Refuses a table with a key that is not among `allowed`. */
  refuseUnknown(allowed: readonly string[]): void {
    const key = Object.keys(this.table).find((one) => !allowed.includes(one));
    if (key === undefined) return;
    const hint = `did you mean ${closest(key, [...allowed])}? Known: ${allowed.join(", ")}`;
    throw this.error(key, "there is no such field", hint);
  }

  /** A string that is not empty. */
  text(key: string): string {
    const value = this.table[key];
    if (typeof value === "string" && value !== "") return value;
    throw this.error(key, "it must be a string", "see the other files in targets/");
  }

  /** One of some words. */
  choice<T extends string>(key: string, choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.table[key]);
    if (found !== undefined) return found;
    const shown = JSON.stringify(this.table[key]) ?? "nothing";
    throw this.error(key, `${shown} is not known`, `one of: ${choices.join(", ")}`);
  }

  /** A list of strings. */
  texts(key: string): string[] {
    const value = this.table[key];
    if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
    throw this.error(key, "it must be a list of strings", `write ${key} = [...]; it may be empty`);
  }

  /** A number above zero. */
  positive(key: string): number {
    const value = this.table[key];
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
    throw this.error(key, "it must be a positive number", "see the other files in targets/ for its unit");
  }

  /** An integer from 1 to `most`. */
  count(key: string, most: number): number {
    const value = this.table[key];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
    throw this.error(key, "it must be a positive integer", `at most ${most}`);
  }

  /** What is wrong with a key of this table. */
  error(key: string, message: string, hint: string): GsicError {
    return invalid(this.file, this.section === "" ? key : `${this.section}.${key}`, message, hint);
  }
}

/** The error about a field of a target's file; of the file as a whole where the field is empty. */
export function invalid(file: string, field: string, message: string, hint: string): GsicError {
  return new GsicError({
    category: "usage",
    code: "target-invalid",
    message: field === "" ? message : `${field}: ${message}`,
    where: field === "" ? file : `${file}: ${field}`,
    hint,
  });
}
