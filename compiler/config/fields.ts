import { dirname, isAbsolute, resolve } from "node:path";
import { GsicError } from "../support/errors.js";
import { didYouMean } from "../support/suggest.js";
import type { Table } from "./toml.js";

/** Typed access to the tables of one parsed file; every problem is a `config-value` (category usage) that names the key. */
export class Fields {
  constructor(
    protected readonly file: string,
    private readonly document: Table,
  ) {}

  protected path(value: string): string {
    return isAbsolute(value) ? value : resolve(dirname(this.file), value);
  }

  protected paths(section: string, key: string): string[] {
    return this.list(section, key, []).map((value) => {
      if (typeof value !== "string") {
        throw this.error(
          `${section}.${key}`,
          `${key} must be a list of file names`,
          `e.g. ${key} = ["a.txt"]`,
        );
      }
      return this.path(value);
    });
  }

  protected value(section: string, key: string): unknown {
    return (this.document[section] as Table | undefined)?.[key];
  }

  protected text<T extends string | null>(section: string, key: string, fallback: T): string | T {
    const value = this.value(section, key);
    if (value === undefined) return fallback;
    if (typeof value !== "string")
      throw this.error(`${section}.${key}`, `${key} must be a string`, "quote it");
    return value;
  }

  protected integer<T extends number | null>(
    section: string,
    key: string,
    fallback: T,
    least = 1,
  ): number | T {
    const value = this.value(section, key);
    if (value === undefined) return fallback;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least) {
      const size = typeof value === "bigint" ? " below 2^53" : "";
      const message = `${key} = ${shown(value)} is not ${least === 0 ? "a non-negative" : "a positive"} integer${size}`;
      throw this.error(`${section}.${key}`, message, "write it without quotes or a point");
    }
    return value;
  }

  protected positive(section: string, key: string, hint: string): number | null {
    const value = this.value(section, key);
    if (value === undefined) return null;
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
    throw this.error(`${section}.${key}`, `${key} = ${shown(value)} is not a positive number`, hint);
  }

  protected choice<T extends string>(section: string, key: string, choices: readonly T[], fallback: T): T {
    const value = this.text(section, key, fallback);
    const known = choices.find((choice) => choice === value);
    if (known === undefined)
      throw this.error(`${section}.${key}`, `unknown ${key} ${value}`, oneOf(choices, value));
    return known;
  }

  protected list(section: string, key: string, fallback: readonly unknown[]): readonly unknown[] {
    const value = this.value(section, key);
    if (value === undefined) return fallback;
    if (!Array.isArray(value))
      throw this.error(`${section}.${key}`, `${key} must be a list`, `write ${key} = [...]`);
    if (value.length === 0 && fallback.length > 0) {
      throw this.error(`${section}.${key}`, `${key} is empty`, "name one at least, or leave the key out");
    }
    return value;
  }

  protected error(key: string, message: string, hint: string): GsicError {
    return new GsicError({
      category: "usage",
      code: "config-value",
      message,
      where: `${this.file}: ${key}`,
      hint,
    });
  }
}

/** A value of TOML as people wrote it, or nearly so. */
export function shown(value: unknown): string {
  // The reader of TOML cuts integers to 64 bits: one that is small now was not.
  if (typeof value === "bigint")
    return Number.isSafeInteger(Number(value)) ? "(an integer beyond 2^63)" : String(value);
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

/** The words that can be given, and which of them `word` may have been meant to be. */
export function oneOf(choices: readonly string[], word = ""): string {
  return `${word === "" ? "" : didYouMean(word, choices)}one of: ${choices.join(", ")}`;
}
