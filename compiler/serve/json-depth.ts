import { ApiError } from "./errors.js";

/** Levels of lists and objects in a body; no request in use has a fifth of them. */
const deepest = 100;

const quote = 0x22;
const backslash = 0x5c;
const open = new Set([0x5b, 0x7b]);
const close = new Set([0x5d, 0x7d]);

/**
 * Throws an `ApiError` 400 if JSON is nested so deeply that what walks through it by recursion would fail. Takes one
 * look at each byte, and is told nothing by text that is no JSON.
 */
export function refuseDeepJson(text: string): void {
  let depth = 0;
  let inside = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inside) {
      if (code === backslash) at++;
      else if (code === quote) inside = false;
    } else if (code === quote) inside = true;
    else if (open.has(code)) {
      if (++depth > deepest)
        throw new ApiError(400, `the body is nested deeper than ${deepest} levels`, { code: "too_deep" });
    } else if (close.has(code)) depth--;
  }
}
