"""How far models with changed weights are from the bf16 model, on held-out text, in numpy.

    python3 examples/smollm2/kl.py FOLDER...

A folder holds <tensor>.f32, the values that stand for linear weights of cache/bf16 (tier-error-main.js
writes them); what it lacks is as in bf16. The tied embedding's file is used as output head only.
Prints the mean KL divergence to the bf16 model (nats per token), on heldout.txt and heldout-2.txt
apart and together, the share of tokens with the same best prediction, and the perplexity ratio, over
2 windows of 512 tokens of each text. Needs numpy and tokenizers, 3 GB of memory, and 1 to 2 minutes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from texts import CACHE

Floats = NDArray[np.float32]
Weights = dict[str, Floats]

FOLDER = CACHE / "bf16"
TEXTS = ("heldout.txt", "heldout-2.txt")
WINDOW = 512
WINDOWS = 2  # of each text, at its beginning and from its second quarter on
HEAD = "model.embed_tokens.weight"
CONFIG = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
WIDTH = CONFIG["head_dim"]


def read_weights() -> Weights:
    """All tensors of cache/bf16, widened."""
    data = np.fromfile(FOLDER / "model.safetensors", np.uint8)
    begin = 8 + int.from_bytes(data[:8].tobytes(), "little")
    result: Weights = {}
    for name, tensor in json.loads(data[8:begin].tobytes()).items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            upper = data[begin + start : begin + end].view(np.uint16).astype(np.uint32)
            result[name] = (upper << 16).view(np.float32).reshape(tensor["shape"])
    return result


def read_windows() -> NDArray[np.int64]:
    """[texts x WINDOWS, WINDOW] token ids."""
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    rows: list[list[int]] = []
    for text in TEXTS:
        ids = tokenizer.encode((CACHE / text).read_text(encoding="utf-8")).ids
        step = len(ids) // 4
        rows += [ids[i * step : i * step + WINDOW] for i in range(WINDOWS)]
    return np.array(rows)


def normalised(x: Floats, gain: Floats) -> Floats:
    """RMS norm."""
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + CONFIG["rms_norm_eps"]) * gain


def turned(x: Floats) -> Floats:
    """Rotary position embedding of [heads, tokens, WIDTH]."""
    half = WIDTH // 2
    frequencies = CONFIG["rope_theta"] ** (-np.arange(half) / half)
    angles = np.outer(np.arange(x.shape[1]), frequencies)
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    left, right = x[..., :half], x[..., half:]
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], -1)


def attention(weights: Weights, prefix: str, x: Floats) -> Floats:
    """Causal self-attention before its output projection: [tokens, hidden]."""

    def heads(name: str) -> Floats:
        y = x @ weights[f"{prefix}self_attn.{name}_proj.weight"].T
        return y.reshape(len(x), -1, WIDTH).swapaxes(0, 1)

    query, key, value = turned(heads("q")), turned(heads("k")), heads("v")
    shared = len(query) // len(key)
    key, value = np.repeat(key, shared, 0), np.repeat(value, shared, 0)
    scores = query @ key.swapaxes(1, 2) / np.float32(np.sqrt(WIDTH))
    scores += np.triu(np.full((len(x), len(x)), -1e30, np.float32), 1)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    return (scores @ value).swapaxes(0, 1).reshape(len(x), -1)


def log_probabilities(weights: Weights, head: Floats, ids: NDArray[np.int64]) -> Floats:
    """[tokens, vocabulary] for one window."""
    x = weights[HEAD][ids]
    for layer in range(CONFIG["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        normal = normalised(x, weights[f"{prefix}input_layernorm.weight"])
        out = weights[f"{prefix}self_attn.o_proj.weight"]
        x = x + attention(weights, prefix, normal) @ out.T
        normal = normalised(x, weights[f"{prefix}post_attention_layernorm.weight"])
        gate = normal @ weights[f"{prefix}mlp.gate_proj.weight"].T
        up = normal @ weights[f"{prefix}mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[f"{prefix}mlp.down_proj.weight"].T
    logits = normalised(x, weights["model.norm.weight"]) @ head.T
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def compare(reference: list[Floats], windows: NDArray[np.int64], dense: Weights, folder: Path) -> str:
    """One line of figures."""
    changed = {file.stem: np.fromfile(file, np.float32) for file in folder.glob("*.f32")}
    shaped = {name: value.reshape(dense[name].shape) for name, value in changed.items()}
    head = shaped.pop(HEAD, dense[HEAD])
    kl, same, loss = [], [], []
    for p, ids in zip(reference, windows):
        q = log_probabilities({**dense, **shaped}, head, ids)
        kl.append((np.exp(p) * (p - q)).sum(-1).mean())
        same.append((p.argmax(-1) == q.argmax(-1)).mean())
        places = np.arange(len(ids) - 1), ids[1:]
        loss.append((p[places] - q[places]).mean())
    parts = [np.mean(kl[i * WINDOWS : (i + 1) * WINDOWS]) for i in range(len(TEXTS))]
    texts = ", ".join(f"{text} {part:.4f}" for text, part in zip(TEXTS, parts))
    return (
        f"{folder.name}: KL {np.mean(kl):.4f} ({texts}), top-1 {np.mean(same):.4f}, "
        f"perplexity ratio {np.exp(np.mean(loss)):.4f}"
    )


def main() -> int:
    dense, windows = read_weights(), read_windows()
    reference = [log_probabilities(dense, dense[HEAD], ids) for ids in windows]
    for folder in map(Path, sys.argv[1:]):
        print(compare(reference, windows, dense, folder), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
