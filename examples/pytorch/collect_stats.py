"""Collects statistics of a Hugging Face model's activations, for `stats = "..."` in model.toml.

    python collect_stats.py MODEL --text FILE [FILE ...] --out stats.safetensors
    python collect_stats.py MODEL --ids FILE --out stats.safetensors

MODEL is a folder or a name on the hub, of the GPT-2 or the Llama family. For the input x of every
linear layer the file holds the number of tokens, the mean of x, the mean of ||x||^2 and the second
moment E[x x^T], or for wide inputs the sketch E[x x^T] Omega with Omega a matrix of random signs,
the same as gsic's. Products are computed in float32, block by block, and summed in float64.

For data of your own, use the class:

    with Collector(model) as collector:
        for batch in data:              # without padding: every position counts
            model(batch)
    collector.save("stats.safetensors")

Needs numpy, torch, transformers and safetensors.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

# What a linear reads, as gsic names it, by the linear's name in a block. Linears that read the same
# value share its statistics, so one of them stands for all.
INPUTS = {
    "gpt2": {
        "attn.c_attn": "attention_norm",
        "attn.c_proj": "attention",
        "mlp.c_fc": "mlp_norm",
        "mlp.c_proj": "activation",
    },
    "llama": {
        "self_attn.q_proj": "attention_norm",
        "self_attn.o_proj": "attention",
        "mlp.gate_proj": "mlp_norm",
        "mlp.down_proj": "mlp",
    },
}
# Within the model's body: the list of blocks, and the norm whose output the output head reads.
LAYOUTS = {"gpt2": ("h", "ln_f"), "llama": ("layers", "norm")}

BLOCK = 4096  # tokens whose products are summed in float32
EXACT_BYTES = 64 << 20  # of a second moment in float32: up to 4096 channels
SKETCH_SEED = 0x67736963


def sketch_matrix(d: int, width: int, seed: int = SKETCH_SEED) -> Tensor:
    """Omega [d, width]: entry [i, j] is -1 where bit j % 64 of output 2^32 i + j // 64 of SplitMix64
    is set, else 1. runtime/tools/sketch.h has the same."""
    mask = (1 << 64) - 1
    golden = 0x9E3779B97F4A7C15
    rows = np.arange(d, dtype=np.uint64)[:, None] << np.uint64(32)
    z = rows + np.arange((width + 63) // 64, dtype=np.uint64)
    z = z * np.uint64(golden) + np.uint64((seed + golden) & mask)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    bits = (z[:, :, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    signs = 1 - 2 * bits.reshape(d, -1)[:, :width].astype(np.float32)
    return torch.from_numpy(signs)


class StatsError(Exception):
    """Something that the person running this has to know about, with what to do next."""


@dataclass
class Moments:
    """Sums over the vectors x [d] of one value."""

    d: int
    omega: Optional[Tensor]  # [d, width], where only a sketch is kept
    device: torch.device
    count: int = 0
    sum: Tensor = field(init=False)
    squares: Tensor = field(init=False)
    product: Tensor = field(init=False)

    def __post_init__(self) -> None:
        width = self.d if self.omega is None else self.omega.shape[1]
        self.sum = torch.zeros(self.d, dtype=torch.float64, device=self.device)
        self.squares = torch.zeros((), dtype=torch.float64, device=self.device)
        self.product = torch.zeros(self.d, width, dtype=torch.float64, device=self.device)

    def add(self, vectors: Tensor) -> None:
        """Adds the rows of vectors [tokens, d]."""
        for begin in range(0, vectors.shape[0], BLOCK):
            x = vectors[begin : begin + BLOCK].to(self.device, torch.float32)
            self.count += x.shape[0]
            self.sum += x.sum(0, dtype=torch.float64)
            self.squares += x.double().square().sum()
            self.product += x.T @ (x if self.omega is None else x @ self.omega)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The means, under the names that gsic reads."""
        if not bool(torch.isfinite(self.product).all()):
            raise StatsError(
                f"{name} is not finite: check the weights for NaN, or use --dtype float32"
            )
        mean = self.product / self.count
        result = {
            f"{name}.count": torch.tensor([self.count]),
            f"{name}.mean_squared_norm": (self.squares / self.count).reshape(1),
            f"{name}.mean": (self.sum / self.count).float(),
        }
        if self.omega is None:
            result[f"{name}.second_moment"] = mean.float()
        else:
            result[f"{name}.sketch.seed"] = torch.tensor([SKETCH_SEED])
            result[f"{name}.sketch.product"] = mean.float()
        return {key: value.cpu().contiguous() for key, value in result.items()}


class Collector:
    """Gathers statistics from every forward pass of a model, while it is entered."""

    def __init__(
        self, model: Any, exact_bytes: int = EXACT_BYTES, sketch_width: int = 1024
    ) -> None:
        family = getattr(model.config, "model_type", None)
        if family not in INPUTS:
            raise StatsError(
                f"model_type {family!r} is not supported; supported: {', '.join(INPUTS)}"
            )
        self.body: nn.Module = model.base_model
        self.family: str = family
        self.exact_bytes = exact_bytes
        self.sketch_width = sketch_width
        self.moments: dict[str, Moments] = {}
        self._omegas: dict[tuple[int, torch.device], Tensor] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Collector:
        blocks, norm = LAYOUTS[self.family]
        for index, block in enumerate(self.body.get_submodule(blocks).children()):
            for linear, value in INPUTS[self.family].items():
                hook = self._before(f"layer{index}_{value}")
                self._handles.append(block.get_submodule(linear).register_forward_pre_hook(hook))
        # The norm's output, not the head's input: the head may be left out, or see one token only.
        final = self.body.get_submodule(norm)
        self._handles.append(
            final.register_forward_hook(lambda _module, _args, x: self._add("final_norm", x))
        )
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def save(
        self, out: Union[Path, str], origin: Optional[dict[str, Any]] = None, fingerprint: str = ""
    ) -> int:
        """Writes the file; returns the number of tokens. `fingerprint` binds it to one model."""
        if not self.moments:
            raise StatsError("nothing was collected: run the model over at least one token")
        tensors: dict[str, Tensor] = {}
        for name, moments in self.moments.items():
            tensors.update(moments.tensors(name))
        tokens = self.moments["final_norm"].count
        metadata = {"tokens": str(tokens)}
        if origin is not None:
            metadata["origin"] = json.dumps(origin)
        if fingerprint:
            metadata["model"] = fingerprint
        partial = Path(f"{out}.partial")
        try:
            save_file(tensors, partial, metadata)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
        return tokens

    def _before(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, args: self._add(name, args[0])

    def _add(self, name: str, x: Tensor) -> None:
        vectors = x.detach().reshape(-1, x.shape[-1])
        if name not in self.moments:
            self.moments[name] = Moments(x.shape[-1], self._omega(x.shape[-1], x.device), x.device)
        self.moments[name].add(vectors)

    def _omega(self, d: int, device: torch.device) -> Optional[Tensor]:
        if 4 * d * d <= self.exact_bytes:
            return None
        if (d, device) not in self._omegas:
            omega = sketch_matrix(d, min(self.sketch_width, d))
            self._omegas[d, device] = omega.to(device)
        return self._omegas[d, device]


def windows_of_text(
    tokenizer: Any, files: list[Path], tokens: int, window: int
) -> Iterator[list[int]]:
    """The first `tokens` tokens of the files; each window begins as a text does, e.g. with BOS."""
    ids: list[int] = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        if len(ids) >= tokens:
            break
    bare = tokenizer.encode("a", add_special_tokens=False)
    whole = tokenizer.encode("a")
    starts = [at for at in range(len(whole)) if whole[at : at + len(bare)] == bare]
    return windows_of_ids(ids[:tokens], window, whole[: starts[0]] if starts else [])


def windows_of_ids(ids: list[int], window: int, prefix: list[int]) -> Iterator[list[int]]:
    """Runs of at most `window` ids, each after the prefix."""
    room = window - len(prefix)
    if room < 1:
        raise StatsError(f"--window {window} has no room behind the {len(prefix)} first tokens")
    for at in range(0, len(ids), room):
        part = ids[at : at + room]
        if at == 0 or len(part) > 1 or not prefix:
            yield prefix + part


def collect(options: argparse.Namespace) -> int:
    """Runs the model over the windows; returns the number of tokens."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    origin: dict[str, Any]
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # a text is longer than the model's context
    model = AutoModelForCausalLM.from_pretrained(options.model)
    model = model.to(options.device, getattr(torch, options.dtype)).eval()
    collector = Collector(model, options.exact_bytes, options.sketch_width)
    window = min(options.window, model.config.max_position_embeddings)
    if options.ids is not None:
        text = options.ids.read_text(encoding="utf-8")
        ids = [int(one) for one in text.replace(",", " ").split()]
        windows = windows_of_ids(ids[: options.tokens], window, [])
        origin = {"kind": "file", "file": str(options.ids.resolve())}
    else:
        tokenizer = AutoTokenizer.from_pretrained(options.model)
        windows = windows_of_text(tokenizer, options.text, options.tokens, window)
        origin = {"kind": "text", "files": [str(file.resolve()) for file in options.text]}
    done = 0
    with torch.inference_mode(), collector:
        for ids in windows:
            # The body alone: the output head is no part of the statistics.
            model.base_model(torch.tensor([ids], device=options.device), use_cache=False)
            done += len(ids)
            if sys.stderr.isatty():
                print(f"\r{done} tokens", end="", file=sys.stderr, flush=True)
    return collector.save(options.out, origin, options.fingerprint)


def main() -> int:
    parser = argparse.ArgumentParser(description="Collects statistics of activations for gsic.")
    parser.add_argument("model", help="folder or hub name of a GPT-2 or Llama model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", type=Path, nargs="+", help="UTF-8 text files")
    source.add_argument(
        "--ids", type=Path, help="a file of token ids, separated by spaces or commas"
    )
    parser.add_argument("--tokens", type=int, default=8192, help="most tokens to run over")
    parser.add_argument(
        "--window", type=int, default=512, help="tokens per sequence, at most the context"
    )
    parser.add_argument(
        "--exact-bytes",
        type=int,
        default=EXACT_BYTES,
        help="second moments larger than this are sketched",
    )
    parser.add_argument("--sketch-width", type=int, default=1024, help="columns of a sketch")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--fingerprint", default="", help="model.fingerprint of a report.json")
    parser.add_argument("--out", type=Path, default=Path("stats.safetensors"))
    options = parser.parse_args()
    try:
        tokens = collect(options)
    except (StatsError, OSError, ValueError, IndexError) as error:
        print(f"collect_stats: {error}", file=sys.stderr)
        return 3
    print(f"{options.out}: {tokens} tokens")
    return 0


if __name__ == "__main__":
    sys.exit(main())
