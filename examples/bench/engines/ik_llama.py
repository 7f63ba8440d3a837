"""ik_llama.cpp, through the C interface of its wheel's library, with its default settings.

The wheel's library is compiled for AVX2 alone; IK_LLAMA_CPP_LIB_PATH names another libllama.so, such
as one that was compiled for this very CPU. Flash attention, its default, stops at longer prompts on
CPUs without VNNI, and where sequences share a pass, so there it is off.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from ik_llama_cpp import _ctypes_api as api

from engine import Floats, OnToken


def flash_attention() -> bool:
    """Whether the library may use flash attention on this CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    return bool(flags & {"avx_vnni", "avx512_vnni"})


def open_model(file: Path, repack: bool = False) -> int:
    """The model's handle. `repack` interleaves rows when weights are loaded, where a type allows it."""
    api.llama_backend_init()
    settings = api.llama_model_default_params()
    if repack:
        settings.repack_tensors, settings.use_mmap = True, False
    model = api.llama_model_load_from_file(str(file).encode(), settings)
    if not model:
        raise RuntimeError(f"ik_llama.cpp cannot open {file}")
    return model


def open_context(model: int, tokens: int, threads: int, sequences: int = 1) -> int:
    """A context's handle, with room for so many tokens, which one pass may take."""
    settings = api.llama_context_default_params()
    settings.n_ctx = settings.n_batch = tokens
    settings.n_seq_max = sequences
    settings.n_threads = settings.n_threads_batch = threads
    settings.flash_attn = sequences == 1 and flash_attention()
    context = api.llama_init_from_model(model, settings)
    if not context:
        raise RuntimeError(f"ik_llama.cpp has no room for {tokens} tokens")
    return context


def vocabulary_of(model: int) -> int:
    return api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))


class IkLlama:
    """A GGUF file, and room for `context` tokens."""

    def __init__(self, file: Path, threads: int, context: int, repack: bool) -> None:
        self.model = open_model(file, repack)
        self.context = open_context(self.model, context, threads)
        self.vocabulary = vocabulary_of(self.model)
        self.position = 0

    def clear(self) -> None:
        api.llama_kv_cache_clear(self.context)
        self.position = 0

    def decode(self, ids: list[int], every: bool = False) -> None:
        """Appends tokens; the last one has logits, or `every` one."""
        tokens = (api.llama_token * len(ids))(*ids)
        wanted = (ctypes.c_int8 * len(ids))(*([1] * len(ids))) if every else None
        batch = api.llama_batch(n_tokens=len(ids), token=tokens, logits=wanted)
        batch.all_pos_0, batch.all_pos_1 = self.position, 1
        status = api.llama_decode(self.context, batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        self.position += len(ids)

    def row(self, index: int) -> Floats:
        """Logits [vocabulary] of a token of the last pass, until the next."""
        values = api.llama_get_logits_ith(self.context, index)
        return np.ctypeslib.as_array(values, (self.vocabulary,))

    def generate(self, prompt: list[int], tokens: int, on_token: OnToken) -> None:
        self.clear()
        ids = prompt
        for _ in range(tokens):
            self.decode(ids)
            ids = [int(self.row(-1).argmax())]
            on_token()

    def logits(self, ids: list[int]) -> Floats:
        self.clear()
        self.decode(ids, every=True)
        return np.stack([self.row(index) for index in range(len(ids))])
