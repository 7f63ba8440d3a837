/** Floats that a value's width is rounded up to; GSIC_WIDTH_STEP in templates/include/gsic/abi.h. */
export const widthStep = 32;

/** Floats between two columns of a value of that width. */
export function strideOf(width: number): number {
  return Math.ceil(width / widthStep) * widthStep;
}
