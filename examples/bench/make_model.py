"""Writes a checkpoint of a known shape with random weights: sharded safetensors in bf16, config.json.

    python3 make_model.py gptj-6b --out gptj-6b [--layers N] [--context N] [--seed 1] [--shard-bytes 2000000000]
    python3 make_model.py gptj-6b --out gptj-6b --planted [--rank 256] [--tail 0.05]

Speed depends on shapes alone, so that a model that cannot be fetched can still be measured. Weights are streamed, a few
megabytes at a time, and depend on seed and tensor name alone. Needs nothing but Python; `--planted`, which gives hidden
states a low rank plus a tail (spectrum.py), needs numpy. `tiny-<family>` are the same architectures,
small, for tests.
"""

import argparse
import hashlib
import json
import math
import os
import random
import statistics
import struct
import sys
from functools import partial

FAMILIES = {
    "gptj": lambda d, layers, heads, vocabulary, context, inner, rotary: {
        "model_type": "gptj",
        "architectures": ["GPTJForCausalLM"],
        "n_embd": d,
        "n_layer": layers,
        "n_head": heads,
        "n_positions": context,
        "n_inner": inner,
        "rotary_dim": rotary,
        "vocab_size": vocabulary,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    },
    "opt": lambda d, layers, heads, vocabulary, context, inner, rotary: {
        "model_type": "opt",
        "architectures": ["OPTForCausalLM"],
        "hidden_size": d,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": context,
        "ffn_dim": inner,
        "word_embed_proj_dim": d,
        "vocab_size": vocabulary,
        "activation_function": "relu",
        "do_layer_norm_before": True,
        "enable_bias": True,
        "layer_norm_elementwise_affine": True,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    },
    "gpt2": lambda d, layers, heads, vocabulary, context, inner, rotary: {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": d,
        "n_layer": layers,
        "n_head": heads,
        "n_positions": context,
        "n_inner": inner,
        "vocab_size": vocabulary,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    },
    # Four query heads share a head of keys and values, as in Llama 3.
    "llama": lambda d, layers, heads, vocabulary, context, inner, rotary: {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": d,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 4,
        "max_position_embeddings": context,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    },
}
# As Llama, but that eight query heads share a head of keys and values.
FAMILIES["tinyllama"] = lambda d, layers, heads, *rest: {
    **FAMILIES["llama"](d, layers, heads, *rest),
    "num_key_value_heads": heads // 8,
    "rope_theta": 10000.0,
}

# family, hidden size, layers, heads, vocabulary, context, inner size, rotary channels
SHAPES = {
    "gptj-6b": ("gptj", 4096, 28, 16, 50400, 2048, 16384, 64),
    "opt-6.7b": ("opt", 4096, 32, 32, 50272, 2048, 16384, None),
    "llama-8b": ("llama", 4096, 32, 32, 128256, 8192, 14336, None),
    "tinyllama-1.1b": ("tinyllama", 2048, 22, 32, 32000, 2048, 5632, None),
    "gpt2-124m": ("gpt2", 768, 12, 12, 50257, 1024, 3072, None),
    "tiny-gptj": ("gptj", 64, 2, 2, 120, 64, 256, 16),
    "tiny-opt": ("opt", 64, 2, 2, 120, 64, 256, None),
    "tiny-gpt2": ("gpt2", 64, 2, 2, 120, 64, 256, None),
    "tiny-llama": ("llama", 64, 2, 4, 120, 64, 256, None),
    "tiny-tinyllama": ("tinyllama", 64, 2, 8, 2048, 128, 176, None),
    "small-tinyllama": ("tinyllama", 512, 6, 8, 8192, 512, 1408, None),
}


def linear(name, out, d, bias=True):
    return [(f"{name}.weight", (out, d)), *([(f"{name}.bias", (out,))] if bias else [])]


def norm(name, d):
    return [(f"{name}.weight", (d,)), (f"{name}.bias", (d,))]


def gptj(d, layers, vocabulary, context, inner):
    yield "transformer.wte.weight", (vocabulary, d)
    for i in range(layers):
        at = f"transformer.h.{i}"
        yield from norm(f"{at}.ln_1", d)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{at}.attn.{part}", d, d, bias=False)
        yield from linear(f"{at}.mlp.fc_in", inner, d)
        yield from linear(f"{at}.mlp.fc_out", d, inner)
    yield from norm("transformer.ln_f", d)
    yield from linear("lm_head", vocabulary, d)


def opt(d, layers, vocabulary, context, inner):
    yield "model.decoder.embed_tokens.weight", (vocabulary, d)
    yield "model.decoder.embed_positions.weight", (context + 2, d)
    for i in range(layers):
        at = f"model.decoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{at}.self_attn.{part}", d, d)
        yield from norm(f"{at}.self_attn_layer_norm", d)
        yield from linear(f"{at}.fc1", inner, d)
        yield from linear(f"{at}.fc2", d, inner)
        yield from norm(f"{at}.final_layer_norm", d)
    yield from norm("model.decoder.final_layer_norm", d)


def gpt2(d, layers, vocabulary, context, inner):
    yield "transformer.wte.weight", (vocabulary, d)
    yield "transformer.wpe.weight", (context, d)
    for i in range(layers):
        at = f"transformer.h.{i}"
        yield from norm(f"{at}.ln_1", d)
        # GPT-2 keeps its linears transposed: [d, out].
        for part, out, width in (("attn.c_attn", 3 * d, d), ("attn.c_proj", d, d)):
            yield f"{at}.{part}.weight", (width, out)
            yield f"{at}.{part}.bias", (out,)
        yield from norm(f"{at}.ln_2", d)
        for part, out, width in (("mlp.c_fc", inner, d), ("mlp.c_proj", d, inner)):
            yield f"{at}.{part}.weight", (width, out)
            yield f"{at}.{part}.bias", (out,)
    yield from norm("transformer.ln_f", d)


def llama(d, layers, vocabulary, context, inner, shared=4):
    yield "model.embed_tokens.weight", (vocabulary, d)
    for i in range(layers):
        at = f"model.layers.{i}"
        for part, out in (("q_proj", d), ("k_proj", d // shared), ("v_proj", d // shared), ("o_proj", d)):
            yield f"{at}.self_attn.{part}.weight", (out, d)
        for part in ("gate_proj", "up_proj"):
            yield f"{at}.mlp.{part}.weight", (inner, d)
        yield f"{at}.mlp.down_proj.weight", (d, inner)
        yield f"{at}.input_layernorm.weight", (d,)
        yield f"{at}.post_attention_layernorm.weight", (d,)
    yield "model.norm.weight", (d,)
    yield "lm_head.weight", (vocabulary, d)


TENSORS = {"gptj": gptj, "opt": opt, "gpt2": gpt2, "llama": llama, "tinyllama": partial(llama, shared=8)}


def is_gain(name):
    return name.endswith(".weight") and any(part in name for part in ("ln_", "norm"))


def bf16(x):
    """The two bytes of a bf16, cut."""
    return struct.pack("<f", x)[2:]


# The high byte of a bf16 (sign, seven bits of the exponent) by quantiles of N(0, 0.02).
HIGH = bytes(bf16(statistics.NormalDist(0, 0.02).inv_cdf((i + 0.5) / 256))[1] for i in range(256))


def chunks(seed, name, shape, size=1 << 22):
    """The tensor's bf16 bytes, a few megabytes at a time: gains near 1, biases N(0, 0.01), matrices about N(0, 0.02)."""
    source = random.Random(int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:16], "little"))
    left = math.prod(shape)
    while left > 0:
        count = min(left, size)
        if len(shape) == 1:
            mean, scale = (1.0, 0.1) if is_gain(name) else (0.0, 0.01)
            yield b"".join(bf16(source.gauss(mean, scale)) for _ in range(count))
        else:
            # The high byte sets sign and size; the low byte, a bit of the exponent and the mantissa, is uniform.
            block = bytearray(2 * count)
            block[0::2] = source.randbytes(count)
            block[1::2] = source.randbytes(count).translate(HIGH)
            yield bytes(block)
        left -= count


def shards_of(tensors, most):
    shards, filled = [[]], 0
    for name, shape in tensors:
        size = 2 * math.prod(shape)
        if shards[-1] and filled + size > most:
            shards.append([])
            filled = 0
        shards[-1].append((name, shape, size))
        filled += size
    return shards


def write_shard(path, tensors, make, report):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, size in tensors:
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".tmp", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape, size in tensors:
            for chunk in make(name, shape):
                file.write(chunk)
            report(size)
    os.replace(path + ".tmp", path)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("shape", choices=sorted(SHAPES))
    arguments.add_argument("--out", required=True, help="folder to write; created")
    arguments.add_argument("--layers", type=int, help="fewer layers, for quick tests")
    arguments.add_argument("--context", type=int, help="positions, in place of the shape's own")
    arguments.add_argument("--planted", action="store_true", help="hidden states of low rank plus a tail")
    arguments.add_argument("--rank", type=int, help="planted directions (a sixteenth of the hidden size)")
    arguments.add_argument("--tail", type=float, default=0.05, help="length of the rest, as a fraction (0.05)")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--shard-bytes", type=int, default=2_000_000_000)
    options = arguments.parse_args()
    family, d, layers, heads, vocabulary, context, inner, rotary = SHAPES[options.shape]
    layers = options.layers or layers
    context = options.context or context
    config = FAMILIES[family](d, layers, heads, vocabulary, context, inner, rotary)
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    os.makedirs(options.out, exist_ok=True)
    shards = shards_of(TENSORS[family](d, layers, vocabulary, context, inner), options.shard_bytes)
    total = sum(size for shard in shards for _, _, size in shard)
    done = 0
    if options.planted:
        from spectrum import Planted

        planted = Planted(options.seed, d, options.rank or max(1, d // 16), options.tail)

    def make(name, shape):
        if options.planted:
            return planted.chunks(name, shape, is_gain(name))
        return chunks(options.seed, name, shape)

    def report(size):
        nonlocal done
        done += size
        if sys.stderr.isatty():
            print(f"\r{done / 1e9:.2f} of {total / 1e9:.2f} GB", end="", file=sys.stderr)

    places = {}
    for index, shard in enumerate(shards):
        name = f"model-{index + 1:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else "model.safetensors"
        write_shard(os.path.join(options.out, name), shard, make, report)
        places.update({tensor: name for tensor, _, _ in shard})
    if len(shards) > 1:
        with open(os.path.join(options.out, "model.safetensors.index.json"), "w") as file:
            json.dump({"metadata": {"total_size": total}, "weight_map": places}, file, indent=1)
    with open(os.path.join(options.out, "config.json"), "w") as file:
        json.dump({**config, **ends}, file, indent=2)
    print(f"{options.out}: {len(places)} tensors, {total / 1e9:.2f} GB, seed {options.seed}", file=sys.stderr)


if __name__ == "__main__":
    main()
