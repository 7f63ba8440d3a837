/** What a token is predicted to take on a target, in seconds. */
export interface Prediction {
  /** Reading weights. */
  readonly memory: number;
  /** Launches that the host issues: one, since a token's kernels are captured as a graph. */
  readonly launches: number;
  /** Dependent kernels. */
  readonly steps: number;
  readonly total: number;
}
