/** Seeds of 64 bits: more digits than a JavaScript number has. */

/**
 * Makes the seed of a body that was parsed from `text` a text, digit by digit as it stands there, where the number has
 * lost some. It stays a number, which is then refused, if other seeds that look alike stand in the body.
 */
export function keepWideSeed(text: string, body: unknown): void {
  if (typeof body !== "object" || body === null || !("seed" in body)) return;
  const { seed } = body;
  if (typeof seed !== "number" || Number.isSafeInteger(seed)) return;
  // A quotation mark inside a string has a backslash before it, so that this matches keys alone.
  const found = [...text.matchAll(/(?<!\\)"seed"\s*:\s*(-?\d{1,20})(?![\d.eE])/g)].map(
    ([, digits]) => digits!,
  );
  const alike = new Set(found.filter((digits) => Number(digits) === seed));
  const [only] = alike;
  if (alike.size === 1) body.seed = only;
}
