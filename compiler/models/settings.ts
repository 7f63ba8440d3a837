import { GsicError } from "../errors.js";

/**
 * Typed look-ups in a model's configuration: the parsed config.json of a folder, or the metadata of a GGUF file.
 * Errors name the file and the key.
 */
export class Settings {
  constructor(
    private readonly file: string,
    private readonly values: (key: string) => unknown,
  ) {}

  has(key: string): boolean {
    const value = this.values(key);
    return value !== undefined && value !== null;
  }

  /** A positive integer. */
  size(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (!Number.isSafeInteger(value) || value <= 0) throw this.wrong(key, "a positive integer", value);
    return value;
  }

  /** A finite number. */
  number(key: string, fallback?: number): number {
    const value = this.has(key) ? this.values(key) : fallback;
    const plain = typeof value === "bigint" ? Number(value) : value;
    if (typeof plain !== "number" || !Number.isFinite(plain)) throw this.wrong(key, "a number", value);
    return plain;
  }

  /** A finite number above zero. */
  positive(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (value <= 0) throw this.wrong(key, "a number above zero", value);
    return value;
  }

  text(key: string, fallback?: string): string {
    const value = this.has(key) ? this.values(key) : fallback;
    if (typeof value !== "string") throw this.wrong(key, "a string", value);
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.has(key) ? this.values(key) : fallback;
    if (typeof value !== "boolean") throw this.wrong(key, "true or false", value);
    return value;
  }

  /** A table within the configuration; null if the key is absent. */
  table(key: string): Settings | null {
    if (!this.has(key)) return null;
    const value = this.values(key);
    if (typeof value !== "object" || Array.isArray(value)) throw this.wrong(key, "an object", value);
    const members = new Map(Object.entries(value as object));
    return new Settings(`${this.file}: ${key}`, (name) => members.get(name));
  }

  /** The error for a key whose value is of the right type, but which gsic cannot build. */
  unsupported(key: string, supported: readonly string[]): GsicError {
    return new GsicError({
      category: "data",
      code: "config-unsupported",
      message: `${key} = ${JSON.stringify(this.values(key))} is not supported`,
      where: `${this.file}: ${key}`,
      hint: `supported: ${supported.join(", ")}`,
    });
  }

  /** The error for values that contradict each other. */
  inconsistent(key: string, message: string): GsicError {
    return new GsicError({
      category: "data",
      code: "config-inconsistent",
      message,
      where: `${this.file}: ${key}`,
      hint: "check that this file belongs to the weights beside it",
    });
  }

  private wrong(key: string, expected: string, value: unknown): GsicError {
    const missing = value === undefined;
    return new GsicError({
      category: "data",
      code: missing ? "config-missing-key" : "config-wrong-value",
      message: missing ? `${key} is missing` : `${key} must be ${expected}, not ${JSON.stringify(value)}`,
      where: `${this.file}: ${key}`,
      hint: "this file describes the architecture; take it from the model's publisher",
    });
  }
}
