/** Inputs between two lines of progress. */
const chunk = 100_000;

/** A part of a run; the last one is marked. */
export interface Run {
  readonly seed: number;
  readonly first: number;
  readonly count: number;
  readonly last: boolean;
  /** Whether to say how far a long run is: where it can be taken up again. */
  readonly shown: boolean;
}

/**
 * The parts of the run that the environment asks for: GSIC_FUZZ_INPUTS inputs (`npm run fuzz`: a million; the ordinary
 * tests: `ordinary`) of GSIC_FUZZ_SEED from number GSIC_FUZZ_FIRST on, so that a run can be taken up where it was left.
 */
export function* runs(ordinary = 10_000): Generator<Run> {
  const setting = (name: string, otherwise: number) => Number(process.env[name] ?? otherwise);
  const seed = setting("GSIC_FUZZ_SEED", 1);
  const begin = setting("GSIC_FUZZ_FIRST", 0);
  const end = begin + setting("GSIC_FUZZ_INPUTS", ordinary);
  for (let first = begin; first < end; first += chunk) {
    const count = Math.min(chunk, end - first);
    yield { seed, first, count, last: first + count === end, shown: end - begin > chunk };
  }
}
