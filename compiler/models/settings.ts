import { GsicError } from "../support/errors.js";

/** Eight times the layers of the deepest models in use. */
const maxLayers = 1024;

/**
 * Typed look-ups in a model's configuration: the parsed config.json of a folder, or the metadata of a GGUF file.
 * Errors name the file and the key.
 */
export class Settings {
  /** `prefix` stands before every key in errors. */
  constructor(
    private readonly file: string,
    private readonly values: (key: string) => unknown,
    private readonly prefix = "",
  ) {}

  has(key: string): boolean {
    const value = this.values(key);
    return value !== undefined && value !== null;
  }

  /** Whether the key is there and says nothing, which in a config.json can be more than its absence. */
  isNull(key: string): boolean {
    return this.values(key) === null;
  }

  /** A positive integer. */
  size(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (!Number.isSafeInteger(value) || value <= 0) throw this.wrong(key, "a positive integer", value);
    return value;
  }

  /** How many layers a model has: a positive integer that a graph can be made of. */
  layers(key: string): number {
    const value = this.size(key);
    if (value > maxLayers) throw this.wrong(key, `an integer from 1 to ${maxLayers}`, value);
    return value;
  }

  /** An integer that is not negative. */
  count(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (!Number.isSafeInteger(value) || value < 0) throw this.wrong(key, "an integer of at least 0", value);
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

  /** Channels of a head, where `heads`, which the file calls `key`, share `width` evenly. */
  split(key: string, width: number, heads: number): number {
    if (width % heads === 0) return width / heads;
    throw this.inconsistent(key, `${width} channels do not divide among ${heads} heads`);
  }

  /** How many channels of a head are rotated: an even number, at most `headDim`. */
  rotaryDim(key: string, headDim: number, fallback?: number): number {
    const value = this.size(key, fallback);
    this.checkRotaryDim(key, value, headDim);
    return value;
  }

  /** Throws unless `rotaryDim` channels, which follow from `key`, can be rotated in pairs. */
  checkRotaryDim(key: string, rotaryDim: number, headDim: number): void {
    if (rotaryDim >= 2 && rotaryDim <= headDim && rotaryDim % 2 === 0) return;
    const message = `${rotaryDim} of the ${headDim} channels of a head would be rotated, which must be an even number`;
    throw this.inconsistent(key, message);
  }

  /** Throws unless `heads` query heads share `kvHeads`, which the file calls `key`, evenly. */
  checkGroups(key: string, heads: number, kvHeads: number): void {
    if (heads % kvHeads === 0) return;
    throw this.inconsistent(key, `${heads} query heads are not a multiple of ${kvHeads} key-value heads`);
  }

  /** A list of `count` finite numbers above zero. */
  numbers(key: string, count: number): readonly number[] {
    const value = this.values(key);
    const isNumber = (one: unknown) => typeof one === "number" && Number.isFinite(one) && one > 0;
    if (Array.isArray(value) && value.length === count && value.every(isNumber)) return value;
    throw this.wrong(key, `a list of ${count} numbers above zero`, value);
  }

  /** A list of `count` words among `choices`. */
  words<T extends string>(key: string, count: number, choices: readonly T[]): readonly T[] {
    const value = this.values(key);
    if (!Array.isArray(value) || value.length !== count)
      throw this.wrong(key, `a list of ${count} words`, value);
    if (value.every((one) => choices.includes(one))) return value;
    throw this.unsupported(key, choices);
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
      message: `${this.prefix}${key} = ${shown(this.values(key))} is not supported`,
      where: `${this.file}: ${this.prefix}${key}`,
      hint: `supported: ${supported.join(", ")}`,
    });
  }

  /** The error for values that contradict each other. */
  inconsistent(key: string, message: string): GsicError {
    return new GsicError({
      category: "data",
      code: "config-inconsistent",
      message,
      where: `${this.file}: ${this.prefix}${key}`,
      hint: "check that this file belongs to the weights beside it",
    });
  }

  private wrong(plainKey: string, expected: string, value: unknown): GsicError {
    const missing = value === undefined;
    const key = `${this.prefix}${plainKey}`;
    return new GsicError({
      category: "data",
      code: missing ? "config-missing-key" : "config-wrong-value",
      message: missing ? `${key} is missing` : `${key} must be ${expected}, not ${shown(value)}`,
      where: `${this.file}: ${key}`,
      hint: "this file describes the architecture; take it from the model's publisher",
    });
  }
}

/** A value of the file in a message: shortened, since it may be anything. */
function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}` : part)) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
