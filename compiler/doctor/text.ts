import { wrap } from "../support/text.js";
import { version } from "../support/version.js";
import type { Check } from "./check.js";

const width = 100;

/** The checks for people, at most 100 columns wide. */
export function doctorText(checks: readonly Check[]): string {
  const titles = Math.max(...checks.map(({ title }) => title.length));
  const lines = checks.flatMap(({ title, verdict, found, fix }) => [
    ...hanging(`${verdict.padEnd("missing, optional".length)}  ${title.padEnd(titles)}  `, found),
    ...(fix === null
      ? []
      : hanging(`${" ".repeat("missing, optional".length)}  ${"fix".padEnd(titles)}  `, fix)),
  ]);
  const broken = checks.filter((one) => one.verdict === "broken");
  const last =
    broken.length === 0
      ? "Everything that gsic needs is here."
      : `Broken: ${broken.map(({ title }) => title).join(", ")}. After the fixes, run gsic doctor again.`;
  const head = `gsic ${version}, ${process.platform} ${process.arch}`;
  return [head, "", ...lines, "", ...wrap(last, width)].join("\n");
}

/** A text behind a head, its further lines below its first. */
function hanging(head: string, text: string): string[] {
  return wrap(text, width - head.length).map((line, i) => (i === 0 ? head : " ".repeat(head.length)) + line);
}
