"""SmolLM2's weights and tokenizer out of the GGUF file, as Hugging Face lays them out.

Used by bf16.py and reference.py; needs numpy and the gguf package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Json = dict[str, Any]

LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}
CONTROL_TOKEN = 3  # tokenizer.ggml.token_type


@dataclass(frozen=True)
class Model:
    """config.json, the weights by Hugging Face's names [out, d] in float32, and the tokenizer."""

    config: Json
    weights: dict[str, Floats]
    tokenizer: Json  # tokenizer.json
    tokenizer_config: Json


def read_model(path: Path) -> Model:
    """Reads the GGUF file and widens every tensor."""
    reader = GGUFReader(path)
    field = {name: value.contents() for name, value in reader.fields.items()}
    config = config_of(field)
    weights: dict[str, Floats] = {}
    for tensor in reader.tensors:
        value = np.array(dequantize(tensor.data, tensor.tensor_type), np.float32)
        if tensor.name in OUTSIDE:
            weights[OUTSIDE[tensor.name]] = value
            continue
        _, layer, part, _ = tensor.name.split(".")
        if part == "attn_q":
            value = separate_halves(value, config["num_attention_heads"])
        elif part == "attn_k":
            value = separate_halves(value, config["num_key_value_heads"])
        weights[f"model.layers.{layer}.{LAYER_PARTS[part]}.weight"] = value
    return Model(config, weights, tokenizer_of(field), tokenizer_config_of(field))


def separate_halves(rows: Floats, heads: int) -> Floats:
    """Undoes llama.cpp's order of the rows of q and k.

    RoPE turns channel i of a head against channel i + half. llama.cpp stores the two side by side,
    as rows 2i and 2i + 1; Hugging Face stores all first halves of a head, then all second ones.
    """
    pairs = rows.reshape(heads, -1, 2, rows.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


def config_of(field: Json) -> Json:
    """config.json in the style of the time of the model: rope_theta and torch_dtype."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": field["tokenizer.ggml.bos_token_id"],
        "eos_token_id": field["tokenizer.ggml.eos_token_id"],
        "pad_token_id": field["tokenizer.ggml.padding_token_id"],
        "head_dim": field["llama.rope.dimension_count"],
        "hidden_act": "silu",
        "hidden_size": field["llama.embedding_length"],
        "intermediate_size": field["llama.feed_forward_length"],
        "max_position_embeddings": field["llama.context_length"],
        "mlp_bias": False,
        "num_attention_heads": field["llama.attention.head_count"],
        "num_hidden_layers": field["llama.block_count"],
        "num_key_value_heads": field["llama.attention.head_count_kv"],
        "rms_norm_eps": float(f"{field['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_scaling": None,
        "rope_theta": field["llama.rope.freq_base"],
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": field["llama.vocab_size"],
    }


def tokenizer_of(field: Json) -> Json:
    """tokenizer.json: digits one by one, GPT-2's regex, bytes, then BPE without an unknown token.

    The vocabulary lacks 21 bytes (such as 04, 06, f1, f2): where a text has them, they vanish.
    """
    tokens: list[str] = field["tokenizer.ggml.tokens"]
    kinds: list[int] = field["tokenizer.ggml.token_type"]
    merges: list[str] = field["tokenizer.ggml.merges"]
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index, (token, kind) in enumerate(zip(tokens, kinds))
            if kind == CONTROL_TOKEN
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def tokenizer_config_of(field: Json) -> Json:
    """tokenizer_config.json; no token is put in front of a text.

    The class is the general one: transformers 5 builds a GPT2Tokenizer anew, without the split of
    digits that tokenizer.json asks for.
    """
    tokens: list[str] = field["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": field["tokenizer.ggml.add_bos_token"],
        "bos_token": tokens[field["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[field["tokenizer.ggml.eos_token_id"]],
        "unk_token": tokens[field["tokenizer.ggml.unknown_token_id"]],
        "pad_token": tokens[field["tokenizer.ggml.padding_token_id"]],
        "clean_up_tokenization_spaces": False,
        "chat_template": field["tokenizer.chat_template"],
    }


def rescale(model: Model, seed: int, spread: float) -> dict[str, Floats]:
    """Weights of the same function with other values: channels scaled by exp(U(-spread, spread)).

    A factor on a channel is undone where the channel is read:
    - the gain of a norm, and the columns of the matrices that read the norm's output;
    - a row of v, and the columns of o that read it: one for each query head of its group;
    - a row of up, and the column of down that reads it: silu(gate) * up is linear in up.
    The final norm stays: what reads it is tied to the embeddings.
    """
    rng = np.random.default_rng(seed)
    config = model.config
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    scaled = {name: value.astype(np.float64) for name, value in model.weights.items()}

    def factors(count: int) -> NDArray[np.float64]:
        return np.exp(rng.uniform(-spread, spread, count))

    def scale(prefix: str, writer: str, factor: NDArray[np.float64]) -> None:
        value = scaled[f"{prefix}.{writer}.weight"]
        value *= factor if value.ndim == 1 else factor[:, None]

    def unscale(prefix: str, readers: list[str], factor: NDArray[np.float64]) -> None:
        for reader in readers:
            scaled[f"{prefix}.{reader}.weight"] /= factor[None, :]

    hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    kv_heads = config["num_key_value_heads"]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        factor = factors(hidden)
        scale(prefix, "input_layernorm", factor)
        readers = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
        unscale(prefix, readers, factor)

        factor = factors(kv_heads * head)
        scale(prefix, "self_attn.v_proj", factor)
        of_queries = np.repeat(factor.reshape(kv_heads, head), group, axis=0).reshape(-1)
        unscale(prefix, ["self_attn.o_proj"], of_queries)

        factor = factors(hidden)
        scale(prefix, "post_attention_layernorm", factor)
        unscale(prefix, ["mlp.gate_proj", "mlp.up_proj"], factor)

        factor = factors(inner)
        scale(prefix, "mlp.up_proj", factor)
        unscale(prefix, ["mlp.down_proj"], factor)
    return {name: value.astype(np.float32) for name, value in scaled.items()}
