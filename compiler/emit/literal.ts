/** A C++ float literal with the value of `x` rounded to f32. */
export function floatLiteral(x: number): string {
  return `${doubleLiteral(Math.fround(x))}f`;
}

/** A C++ double literal with exactly the value of `x`. */
export function doubleLiteral(x: number): string {
  if (!Number.isFinite(x)) throw new Error(`${x} has no literal`);
  const text = String(x);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
