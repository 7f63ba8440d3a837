"""What scales as f16, and activations of 8 bits, add to the error of weights at few bits. Needs numpy."""

import numpy as np

OUT, D, TOKENS, GROUP = 384, 1536, 64, 32


def round_weights(w, bits, half_scales):
    """Nearest levels in groups of 32, scales of 8 bits on the grid of their row; in f16, if so."""
    groups = w.reshape(len(w), -1, GROUP)
    half = 2 ** (bits - 1)
    step = np.abs(groups).max(-1, keepdims=True) / (half - 0.5)
    row = step.max(1, keepdims=True) / 127
    scale = np.clip(np.ceil(step / row), 1, 127) * row
    if half_scales:
        scale = scale.astype(np.float16).astype(np.float32)
    return (np.clip(np.round(groups / scale), -half, half - 1) * scale).reshape(w.shape)


def round_activations(x, bits):
    groups = x.reshape(len(x), -1, GROUP)
    scale = np.abs(groups).max(-1, keepdims=True) / (2 ** (bits - 1) - 1)
    return (np.round(groups / scale) * scale).reshape(x.shape)


def main():
    random = np.random.default_rng(0)
    w = random.standard_normal((OUT, D)).astype(np.float32)
    x = random.standard_normal((TOKENS, D)).astype(np.float32)
    x *= np.exp(0.8 * random.standard_normal(D)).astype(np.float32)
    y = x @ w.T

    def error(activation_bits, bits, half_scales):
        found = round_activations(x, activation_bits) @ round_weights(w, bits, half_scales).T
        return np.sqrt(((found - y) ** 2).sum() / (y**2).sum())

    print("bits  gsic    f16     and 8-bit activations")
    for bits in (3, 4, 5, 6, 8):
        ours, half, both = error(16, bits, False), error(16, bits, True), error(8, bits, True)
        print(f"{bits}     {ours:.4f}  {half:.4f}  {both:.4f}, squared error +{100 * ((both / ours) ** 2 - 1):.1f} %")


if __name__ == "__main__":
    main()
