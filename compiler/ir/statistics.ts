/** Statistics of activations, as calibration collects them. */

/** Statistics of one distinct linear input over the calibration tokens. */
export interface InputStats {
  readonly d: number;
  /** Tokens counted. */
  readonly count: number;
  /** Mean of x, [d]. */
  readonly mean: Float32Array;
  /** Mean of ||x||^2. */
  readonly meanSquaredNorm: number;
  /**
   * C = E[x x^T], uncentred: the exact [d, d], or a Nystrom sketch C ~= Y (Omega^T Y)^-1 Y^T with Y = C Omega in [d, l],
   * Omega being made from a seed (runtime/tools/sketch.h).
   */
  readonly secondMoment:
    | { readonly kind: "exact"; readonly matrix: Float32Array }
    | {
        readonly kind: "sketch";
        readonly width: number;
        readonly seed: number;
        readonly product: Float32Array;
      };
}

/** Where calibration tokens came from. */
export type CalibrationOrigin =
  | { readonly kind: "text"; readonly files: readonly string[] }
  | { readonly kind: "sampled"; readonly seed: number; readonly temperature: number }
  | { readonly kind: "file"; readonly file: string };
