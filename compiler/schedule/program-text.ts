import type { Kernel } from "../ir/program.js";
import type { ListedLaunch, Listing } from "../report/program-json.js";

/**
 * A program for people: its kernels with what they compute, then its launches in order, those of a pass and those of linears
 * alone; below a launch a line for each argument, with its place in memory. The same program gives the same text.
 */
export function programText(
  kernels: readonly Pick<Kernel, "symbol" | "summary">[],
  { body, head, linears }: Listing,
): string {
  const used = new Set(
    [body, head, ...linears.map(({ launches }) => launches)].flat().map(({ kernel }) => kernel),
  );
  const summaries = kernels.filter(({ symbol }) => used.has(symbol)).map(kernelLine);
  const sections = [
    ["Kernels", summaries],
    ["Pass", launchLines(body, 0)],
    ["Pass, only where logits are wanted", launchLines(head, body.length)],
    ...linears.map(({ input, linears: names, launches }) => {
      const title = `Alone: ${names.map(({ name }) => name).join(", ")} of ${input}`;
      return [title, launchLines(launches, 0)] as const;
    }),
  ] as const;
  return sections.map(([title, lines]) => `# ${title}\n${lines.join("\n")}\n`).join("\n");
}

function kernelLine({ symbol, summary }: Pick<Kernel, "symbol" | "summary">): string {
  return `${symbol}: ${summary}`;
}

/** Launches by number, beginning with `first`. */
function launchLines(launches: readonly ListedLaunch[], first: number): string[] {
  return launches.flatMap(({ kernel, layer, arguments: slots }, index) => {
    const place = layer === null ? "" : ` (layer ${layer})`;
    const names = Math.max(...slots.map(({ name }) => name.length));
    return [`${first + index} ${kernel}${place}`, ...slots.map((slot) => argumentLine(slot, names))];
  });
}

function argumentLine(
  { name, type, buffer, offset, refers_to, bytes }: ListedLaunch["arguments"][number],
  width: number,
): string {
  const size = bytes === null ? "" : `, ${bytes} bytes`;
  return `    ${name.padEnd(width)} ${type} at ${buffer} + ${offset}: ${refers_to}${size}`;
}
