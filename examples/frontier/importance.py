"""What llama-imatrix finds, out of gsic's statistics of SmolLM2's calibration text. Needs numpy and safetensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gsic
import numpy as np
from bf16 import FOLDER
from fetch import CACHE
from measure import WORK, Reference
from tensors import Floats

TOKENS = 12288  # of the calibration text
TEXT = CACHE / "calibration.txt"
# What llama.cpp calls the linears of a layer.
TENSORS = {
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "attention_out": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def diagonals(stats: Path, linears: list[dict[str, str]]) -> dict[str, Floats]:
    """E[x_i^2] of the input of each layer's linears, by llama.cpp's names."""
    from safetensors import safe_open

    found = {}
    with safe_open(stats, framework="numpy") as moments:
        for one in linears:
            if not one["linear"].startswith("layer"):
                continue
            layer, part = one["linear"].removeprefix("layer").split("_", 1)
            moment = moments.get_tensor(f"{one['input']}.second_moment")
            found[f"blk.{layer}.{TENSORS[part]}.weight"] = np.ascontiguousarray(moment.diagonal())
    return found


def importance_of(reference: Reference) -> dict[str, Floats]:
    """The same of the bf16 model on the calibration text, collected unless it is on disk."""
    key = f"{reference.fingerprint} {TOKENS} {hashlib.sha256(TEXT.read_bytes()).hexdigest()}"
    file = WORK / f"importance-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if not file.exists():
        toml, stats = WORK / "importance.toml", WORK / "importance.safetensors"
        model = f'[model]\nname = "importance"\nsource = {json.dumps(str(FOLDER))}\n'
        text = f"[calibration]\ntext = [{json.dumps(str(TEXT))}]\ntokens = {TOKENS}\n"
        toml.write_text(model + text, encoding="utf-8")
        gsic.run("calibrate", str(toml), "--out", str(stats), "--json")
        found = diagonals(stats, gsic.report_of(reference.build)["linears"])
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, **found)
        partial.replace(file)
        stats.unlink()
    with np.load(file) as values:
        return dict(values)
