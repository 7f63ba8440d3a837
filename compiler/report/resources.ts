/** What a compiled GPU kernel takes of a compute unit, as the compiler says. */
export interface ResourceFacts {
  /** Vector registers of a lane. */
  readonly vgprs: number;
  /** Accumulation registers of a lane. */
  readonly agprs: number;
  /** Scalar registers of a wave. */
  readonly sgprs: number;
  /** Bytes of LDS of a workgroup. */
  readonly lds: number;
  /** Waves that a SIMD holds at once, of those registers and that LDS. */
  readonly occupancy: number;
  /** Bytes of memory of a lane's own. */
  readonly scratch: number;
  readonly vgprSpills: number;
  /** Scalar registers kept in lanes of vector registers: no memory is touched. */
  readonly sgprSpills: number;
}
