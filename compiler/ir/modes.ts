import type { Mode, ProgramMode } from "./program.js";

/** The program that a mode is shaped by: of `lossless` the one that drafts. */
export function programOf(mode: Mode): ProgramMode {
  return mode === "lossless" ? "bounded" : mode;
}

/** The modes of a build that have a program. */
export function programsOf({ modes }: { readonly modes: readonly Mode[] }): ProgramMode[] {
  return modes.flatMap((mode) => (mode === "lossless" ? [] : [mode]));
}

/** The modes of a build, its own first: a plan may be run as it is, draft for the exact weights, or be left aside. */
export function modesOf(mode: Mode): readonly Mode[] {
  switch (mode) {
    case "exact":
      return ["exact"];
    case "bounded":
      return ["bounded", "exact", "lossless"];
    case "lossless":
      return ["lossless", "exact", "bounded"];
    default:
      return mode satisfies never;
  }
}
