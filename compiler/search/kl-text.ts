/** A KL in nats per token: four decimals, or two digits where those would not show it. */
export function klText(kl: number): string {
  if (kl === 0) return "0";
  return kl >= 9.95e-5 ? kl.toFixed(kl < 9.9 ? 4 : 2) : kl.toExponential(1);
}
