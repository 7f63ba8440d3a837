import type { Target } from "./target.js";
import type { Fields } from "./target-fields.js";

/** What the files of all targets say. */
type CommonFields = Pick<Target, "name" | "dialect" | "architecture" | "flags">;

/** What a kind of device asks of its targets. */
export interface DeviceConfig<T extends Target> {
  /** Keys of a target's file beside those of all. */
  readonly keys: readonly string[];
  /** Reads the rest of a target's file. */
  read(fields: Fields, common: CommonFields): T;
  /** What one set of kernels for several targets is shaped by. */
  common(targets: readonly T[]): T;
  /**
   * A target whose projections are divided among waves as measured: splits by shape (`shapeKey`). Choices that its
   * workgroups cannot make are left to the rule. Null where kernels are not divided so.
   */
  readonly divided: ((target: T, splits: ReadonlyMap<string, number>) => T) | null;
}
