/** Bytes in decimal units, to four figures. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let scaled = bytes;
  let unit = 0;
  while (scaled >= 999.95 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit]}`;
}

/** A time in the unit that suits it, to three figures. */
export function duration(seconds: number): string {
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`;
  return seconds >= 1e-3 ? `${(1e3 * seconds).toPrecision(3)} ms` : `${(1e6 * seconds).toPrecision(3)} us`;
}

/** Words filled into lines of at most `width`; longer words are cut. At least one line. */
export function wrap(text: string, width: number): string[] {
  const pieces = text.split(" ").flatMap((word) => word.match(new RegExp(`.{1,${width}}`, "g")) ?? [""]);
  const lines = [pieces[0]!];
  for (const piece of pieces.slice(1)) {
    const joined = `${lines.at(-1)} ${piece}`;
    if (joined.length <= width) lines[lines.length - 1] = joined;
    else lines.push(piece);
  }
  return lines;
}

/** Printable ASCII, one column a character: the rest, escape sequences of terminals among it, is spelt out. */
export function visible(text: string): string {
  return text.replace(/[^ -~]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
