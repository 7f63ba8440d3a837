/** A test of one of the 66 inputs that needs more than an input: a build, a device, a running process. */
export interface Elsewhere {
  readonly number: number;
  /** Relative to the repository. */
  readonly file: string;
  /** Its title, or the beginning of the row in its table. */
  readonly title: string;
}

const at = (number: number, file: string, title: string): Elsewhere => ({ number, file, title });

/** Every one of these must stand in its file: the count of the 66 fails otherwise. */
export const elsewhere: readonly Elsewhere[] = [
  at(9, "compiler/read/safetensors.test.ts", "a file cut at any byte is refused"),
  at(9, "compiler/read/gguf.test.ts", "a file cut at any byte is refused"),
  at(
    9,
    "runtime/fuzz.test.ts",
    "a bundle cut at any byte, or with any bit of its header or table flipped, is refused",
  ),
  at(35, "compiler/calibrate/collect-stats.test.ts", "weights that are not finite"),
  at(
    36,
    "compiler/read/weights.test.ts",
    "names tensors that are not finite, and matrices that are constant",
  ),
  at(45, "runtime/tools.test.ts", "id 40"),
  at(45, "runtime/main.test.ts", "id 40"),
  at(49, "compiler/graph-text/parse.test.ts", "k of d"),
  at(
    50,
    "compiler/calibrate/factors.test.ts",
    "more directions than tokens, or than the sketch is wide, are refused",
  ),
  at(50, "compiler/cli/cli.test.ts", "fewer tokens than k"),
  at(51, "compiler/calibrate/factors.test.ts", "V is orthonormal and holds the leading subspace"),
  at(52, "compiler/emit/gated.test.ts", "NaN keeps it open"),
  at(53, "compiler/graph-text/parse.test.ts", "epsilon above one"),
  at(54, "compiler/cli/cli.test.ts", "heldout-overlap"),
  at(
    56,
    "compiler/cli/cli.test.ts",
    "an output folder that is not a build, holds an input, or cannot be written",
  ),
  at(
    57,
    "compiler/build-folder/publish.test.ts",
    "of builds at once into one folder, one is made and the others are refused",
  ),
  at(57, "compiler/cli/cli.test.ts", "two builds at once"),
  at(58, "compiler/graph-text/print.test.ts", "of names with hostile characters"),
  at(
    58,
    "compiler/build-folder/bindings.test.ts",
    "they compile strictly, whatever the name, and know the modes",
  ),
  at(59, "runtime/gpu.test.ts", "whatever is missing is named, with status GSIC_NO_DEVICE"),
  at(59, "runtime/main.test.ts", "what a GPU lacks, and what befalls it, ends with exit code 4"),
  at(59, "runtime/runtime.test.ts", "so is a machine without the features"),
  at(60, "runtime/runtime.test.ts", "manifest.abi is 3"),
  at(61, "runtime/runtime.test.ts", "a changed bit anywhere is refused, with the place"),
  at(61, "compiler/cli/cli.test.ts", "a changed byte is found before a token is computed"),
  at(62, "runtime/main.test.ts", "position 0 are not all finite"),
  at(
    63,
    "compiler/load.test.ts",
    "wrong arguments are refused, each with its reason, and leave the session as it was",
  ),
  at(
    64,
    "compiler/load-lifetime.test.ts",
    "dispose during a run ends it, and frees everything; use after dispose is refused",
  ),
  at(64, "compiler/load.test.ts", "two runs at once on one session are refused; two sessions are not"),
  at(65, "runtime/main.test.ts", "shorten it"),
  at(65, "compiler/load.test.ts", "prompt is empty"),
  at(
    66,
    "compiler/cli/cli.test.ts",
    "an interrupted or killed build leaves the previous one, and the next one clears up",
  ),
  at(66, "runtime/main.test.ts", "Ctrl-C and a reader that leaves end it cleanly"),
];
