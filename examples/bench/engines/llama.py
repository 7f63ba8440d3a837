"""llama.cpp, through its C interface: decoding makes no detour over Python's sampler."""

from __future__ import annotations

from pathlib import Path

import llama_cpp

from engine import CONTEXT, Floats, OnToken
from llamacpp import logits


class LlamaCpp:
    """A GGUF file with llama.cpp's default settings."""

    def __init__(self, file: Path, threads: int) -> None:
        self.file = file
        self.model = llama_cpp.Llama(
            str(file),
            n_ctx=CONTEXT,
            n_batch=CONTEXT,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
        self.sampler = llama_cpp.llama_sampler_init_greedy()

    def decode(self, ids: list[int]) -> int:
        tokens = (llama_cpp.llama_token * len(ids))(*ids)  # the batch points into it
        batch = llama_cpp.llama_batch_get_one(tokens, len(ids))
        status = llama_cpp.llama_decode(self.model.ctx, batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return llama_cpp.llama_sampler_sample(self.sampler, self.model.ctx, -1)

    def generate(self, prompt: list[int], tokens: int, on_token: OnToken) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.model.ctx), True)
        ids = prompt
        for _ in range(tokens):
            ids = [self.decode(ids)]
            on_token()

    def logits(self, ids: list[int]) -> Floats:
        return logits(self.file, ids)
