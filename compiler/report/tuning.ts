/** What a projection's division is decided by. */
export interface ProjectionShape {
  /** Weight type; `first+second` where the matrices of a pair differ. */
  readonly type: string;
  readonly out: number;
  readonly d: number;
  /** 2: gate and up, computed together. */
  readonly matrices: 1 | 2;
}

/** What reading and launching take on a device, as measured there: in place of what its target says. */
export interface MeasuredCost {
  readonly target: string;
  /** What the device calls itself. */
  readonly device: string;
  /** Version of gsic that measured. */
  readonly gsic: string;
  /** Bytes per second that a kernel reads which does nothing else. */
  readonly bandwidth: number;
  /** Seconds to issue and await a captured sequence of one launch. */
  readonly launch: number;
  /** Seconds of a dependent launch that does nothing. */
  readonly step: number;
}

/** The distinct shapes of a GPU build's projections, and what its times are predicted with. */
export interface TuningReport {
  /** The tuning file, relative to the build folder; null if there was none. */
  readonly file: string | null;
  /** Null where they are the target's; reports of earlier versions say nothing. */
  readonly cost?: MeasuredCost | null;
  readonly shapes: readonly (ProjectionShape & {
    /** Waves that share a tile of four rows. */
    readonly splits: number;
    readonly by: "measurement" | "rule";
    /** What it was measured on; null by the rule. */
    readonly device: string | null;
  })[];
}
