import { closest, distance } from "fastest-levenshtein";

/** "did you mean …? " with the nearest of some words, if one is near enough to be meant; else nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  if (known.length === 0) return "";
  const nearest = closest(word.slice(0, 200), [...known]);
  const most = Math.max(1, Math.floor(Math.max(word.length, nearest.length) * 0.4));
  return distance(word, nearest) <= most ? `did you mean ${nearest}? ` : "";
}
