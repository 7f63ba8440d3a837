/** Floats that a value's width is rounded up to; GSIC_WIDTH_STEP in templates/include/gsic/abi.h. */
const widthStep = 32;

/** Floats between two columns of a value of that width. */
export function strideOf(width: number): number {
  return Math.ceil(width / widthStep) * widthStep;
}

/** Most columns of a pass; GSIC_MAX_COLUMNS in templates/include/gsic/abi.h. */
export const maxColumns = 16;

/** The least multiple of `step` that is not below `value`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** Bytes that matrices, vectors and values of the arena begin at multiples of: a cache line, and a vector of AVX-512. */
export const alignment = 64;

/** Bytes of the `gsic_step` structure in templates/include/gsic/abi.h. */
export const stepBytes = 16 + 16 * maxColumns;
