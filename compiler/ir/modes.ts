import type { Mode, ProgramMode } from "./program.js";

/** The program that a mode is shaped by: of `lossless` the one that drafts. */
export function programOf(mode: Mode): ProgramMode {
  return mode === "lossless" ? "bounded" : mode;
}

/** The modes of a build that have a program. */
export function programsOf({ modes }: { readonly modes: readonly Mode[] }): ProgramMode[] {
  return modes.flatMap((mode) => (mode === "lossless" ? [] : [mode]));
}
