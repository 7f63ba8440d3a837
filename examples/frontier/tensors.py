"""SmolLM2's bf16 weights as float32 arrays, and float32 weights back as a Hugging Face folder.

Needs numpy and safetensors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize
from safetensors.numpy import save_file

Floats = NDArray[np.float32]
Json = dict[str, Any]

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
LINEARS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


def read_bf16(folder: Path) -> dict[str, Floats]:
    """The tensors of model.safetensors, widened: a bf16 number is the upper half of a float32."""
    tensors: dict[str, Floats] = {}
    for name, entry in deserialize((folder / "model.safetensors").read_bytes()):
        assert entry["dtype"] == "BF16", (name, entry["dtype"])
        halves = np.frombuffer(entry["data"], np.uint16).astype(np.uint32)
        tensors[name] = (halves << 16).view(np.float32).reshape(entry["shape"])
    return tensors


def linears_of(config: Json) -> list[str]:
    """Names of the matrices that a token is multiplied by; the head is the embedding."""
    layers = range(config["num_hidden_layers"])
    inside = [f"model.layers.{layer}.{part}.weight" for layer in layers for part in LINEARS]
    return [*inside, EMBEDDING]


def write_f32(folder: Path, source: Path, tensors: dict[str, Floats]) -> None:
    """A folder of these weights, with a head of its own if they have one, and the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config |= {"torch_dtype": "float32", "tie_word_embeddings": HEAD not in tensors}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
