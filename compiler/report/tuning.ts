/** What a projection's division is decided by. */
export interface ProjectionShape {
  /** Weight type; `first+second` where the matrices of a pair differ. */
  readonly type: string;
  readonly out: number;
  readonly d: number;
  /** 2: gate and up, computed together. */
  readonly matrices: 1 | 2;
}

/** The distinct shapes of a GPU build's projections. */
export interface TuningReport {
  /** The tuning file, relative to the build folder; null if there was none. */
  readonly file: string | null;
  readonly shapes: readonly (ProjectionShape & {
    /** Waves that share a tile of four rows. */
    readonly splits: number;
    readonly by: "measurement" | "rule";
    /** What it was measured on; null by the rule. */
    readonly device: string | null;
  })[];
}
