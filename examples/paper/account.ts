import type { Report } from "../../compiler/report/report.js";

type Linear = Report["linears"][number];

/** Weights that a token reads in the rewritten linears, in bytes. */
export interface ByteAccount {
  readonly dense: number;
  /** V once for every value that is read, since V^T x differs from value to value: what gsic's kernels do. */
  readonly per_input: number;
  /** V once in a layer, as if its inputs of the shared basis were projected together; null where none share one. */
  readonly per_layer: number | null;
}

/** What a gate must do to pay, for the values of one kind, over all layers. */
export interface BreakEven {
  /** Bytes of the bases. */
  readonly basis: number;
  readonly dense: number;
  /** Bytes of the images W V. */
  readonly images: number;
  /** The fraction of closed gates from which on less is read than dense; null where no fraction suffices. */
  readonly closed: number | null;
}

/** The kind of a value: its name without the layer's. */
export function kindOf(input: string): string {
  return input.replace(/^layer\d+_/, "");
}

/** The mean of the inputs' fractions of closed gates, by kind. */
export function closedByKind(closed: Readonly<Record<string, number>>): Record<string, number> {
  const kinds = [...new Set(Object.keys(closed).map(kindOf))];
  return Object.fromEntries(
    kinds.map((kind) => {
      const fractions = Object.keys(closed).flatMap((input) =>
        kindOf(input) === kind ? closed[input]! : [],
      );
      return [kind, fractions.reduce((sum, fraction) => sum + fraction, 0) / fractions.length];
    }),
  );
}

/** The linears whose input has a gate. */
export function rewritten(
  linears: readonly Linear[],
  closed: Readonly<Record<string, number>>,
): readonly Linear[] {
  return linears.filter(({ input }) => closed[input] !== undefined);
}

/** Bytes of V that an input's linears read: with an open gate they read it and all of W. */
function basisBytes(linears: readonly Linear[]): number {
  return linears.reduce((sum, { bytes }) => sum + bytes.slow - bytes.dense, 0);
}

/**
 * Mean bytes of a token in the rewritten linears. `closed` has the fraction of closed gates of every input that has a
 * gate; `shared` names, layer by layer, the inputs that have one basis together; null: each has its own.
 */
export function byteAccount(
  linears: readonly Linear[],
  closed: Readonly<Record<string, number>>,
  shared: readonly (readonly string[])[] | null,
): ByteAccount {
  let [dense, read] = [0, 0];
  for (const { bytes, input } of rewritten(linears, closed)) {
    const f = closed[input]!;
    dense += bytes.dense;
    read += f * bytes.fast + (1 - f) * bytes.slow;
  }
  return { dense, per_input: read, per_layer: shared === null ? null : read - repeated(linears, shared) };
}

/** Bytes of bases that are read again though the layer has read them for another input. */
function repeated(linears: readonly Linear[], shared: readonly (readonly string[])[]): number {
  return shared
    .flatMap((inputs) => inputs.slice(1))
    .reduce((sum, input) => sum + basisBytes(linears.filter((linear) => linear.input === input)), 0);
}

/**
 * The fraction of closed gates above which less is read than dense, f > basis / (dense - images). With one value of
 * width d, weights of w bytes and factors of w' = 2 bytes it is f > 2 d k / (out (w d - w' k)).
 */
export function breakEven(
  linears: readonly Linear[],
  shared: readonly (readonly string[])[] = [],
): BreakEven {
  const basis = basisBytes(linears) - repeated(linears, shared);
  const dense = linears.reduce((sum, { bytes }) => sum + bytes.dense, 0);
  const images = linears.reduce((sum, { bytes }) => sum + bytes.fast, 0) - basisBytes(linears);
  return { basis, dense, images, closed: images < dense ? basis / (dense - images) : null };
}
