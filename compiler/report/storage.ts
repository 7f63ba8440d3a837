/** How weights that can be packed without loss are kept, and what was measured of it: `storage` in report.json. */
export interface StorageReport {
  /** What was measured on; null where nothing was, since the target does not run on the machine that built. */
  readonly measured: { readonly cpu: string; readonly threads: number; readonly target: string } | null;
  /** Shapes that are packed, as `storage` in model.toml takes them, which builds the same again. */
  readonly packed: readonly string[];
  /** Calls of linears that read one value, of one column, weights in memory; those of the first layer and the head. */
  readonly calls: readonly {
    /** Of its matrices that can be packed. */
    readonly shapes: readonly string[];
    /** Medians. */
    readonly stored_seconds: number;
    readonly packed_seconds: number;
  }[];
}
