import { describe, expect, test } from "vitest";
import { breakEven, byteAccount, closedByKind } from "./account.js";

/** A gated linear of report.json: weights of w bytes, factors of two. */
function linear(input: string, out: number, d: number, k: number, w: number, first = true) {
  const dense = w * out * d;
  const basis = first ? 2 * k * d : 0;
  return {
    linear: `${input}_${out}`,
    layer: null,
    input,
    form: { gate: { k, epsilon: 0.1 }, tier: null },
    bytes: { dense, fast: basis + 2 * out * k, slow: basis + dense },
    verdict: "",
  };
}

describe("accounts", () => {
  test("no fraction suffices where the image is larger than the weights", () => {
    expect(breakEven([linear("layer0_mlp_norm", 64, 64, 32, 0.5)]).closed).toBeNull();
  });

  test("a basis counts once an input, and once a layer where its inputs share it", () => {
    const [d, k] = [64, 16];
    const linears = [
      linear("layer0_attention_norm", 64, d, k, 2),
      linear("layer0_attention_norm", 32, d, k, 2, false),
      linear("layer0_mlp_norm", 256, d, k, 2),
      linear("layer0_activation", 64, 256, k, 2),
      { ...linear("final_norm", 1000, d, k, 2), form: { gate: null, tier: null } },
    ];
    const closed = { layer0_attention_norm: 0.25, layer0_mlp_norm: 0.5, layer0_activation: 0 };
    const account = byteAccount(linears, closed, [["layer0_attention_norm", "layer0_mlp_norm"]]);
    const dense = 2 * (96 * d + 256 * d + 64 * 256);
    expect(account.dense).toBe(dense);
    const images = 0.25 * 2 * 96 * (d - k) + 0.5 * 2 * 256 * (d - k);
    const bases = 2 * k * (d + d + 256);
    expect(account.per_input).toBe(dense - images + bases);
    expect(account.per_layer).toBe(dense - images + bases - 2 * k * d);
    expect(byteAccount(linears, closed, null).per_layer).toBeNull();
  });

  test("kinds are means over layers", () => {
    const closed = { layer0_mlp_norm: 0.2, layer1_mlp_norm: 0.4, layer10_attention: 1 };
    const kinds = closedByKind(closed);
    expect(kinds.mlp_norm).toBeCloseTo(0.3, 12);
    expect(kinds.attention).toBe(1);
  });
});
