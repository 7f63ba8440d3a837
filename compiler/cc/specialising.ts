/** How much longer kernels for all shapes take than a model's own, one model on one target. */
interface SpecialisingGain {
  readonly weights: string;
  readonly target: string;
  /** Times, to decode a token and to compute a pass of sixteen. */
  readonly decoding: number;
  readonly prompt: number;
}

/** SmolLM2-135M on two cores; examples/bench/no-compiler.md has the spread, the machine, and the command that measures. */
export const specialisingGains: readonly SpecialisingGain[] = [
  { weights: "bf16", target: "cpu-avx512", decoding: 1.03, prompt: 1.09 },
  { weights: "bf16", target: "cpu-avx2", decoding: 1.04, prompt: 1.29 },
  { weights: "Q4_1", target: "cpu-avx512", decoding: 1.14, prompt: 1.25 },
  { weights: "Q4_1", target: "cpu-avx2", decoding: 1.17, prompt: 1.18 },
];

/** What specialising would gain, for people without a compiler. */
export function specialisingText(): string {
  const range = (times: readonly number[]) => {
    const [least, most] = [Math.min(...times).toFixed(2), Math.max(...times).toFixed(2)];
    return least === most ? least : `${least} to ${most}`;
  };
  const decoding = range(specialisingGains.map((gain) => gain.decoding));
  const prompt = range(specialisingGains.map((gain) => gain.prompt));
  return `on SmolLM2, ${decoding} times the time for a token and ${prompt} times that for a prompt`;
}
