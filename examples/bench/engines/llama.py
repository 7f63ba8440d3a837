"""llama.cpp, through its C interface, with its default settings.

A greedy token is an argmax by numpy, which costs less than llama.cpp's sampler.
"""

from __future__ import annotations

from pathlib import Path

import llama_cpp
import numpy as np

from engine import Floats, OnToken


class LlamaCpp:
    """A GGUF file, and room for `context` tokens."""

    def __init__(self, file: Path, threads: int, context: int) -> None:
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            str(file).encode(), llama_cpp.llama_model_default_params()
        )
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot open {file}")
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = context
        settings.n_threads = settings.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        if not self.context:
            raise RuntimeError(f"llama.cpp has no room for {context} tokens")
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model)
        )

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def row(self, index: int) -> Floats:
        """Logits [vocabulary] of a token of the last pass, until the next."""
        values = llama_cpp.llama_get_logits_ith(self.context, index)
        return np.ctypeslib.as_array(values, (self.vocabulary,))

    def decode(self, ids: list[int]) -> int:
        tokens = (llama_cpp.llama_token * len(ids))(*ids)  # the batch points into it
        batch = llama_cpp.llama_batch_get_one(tokens, len(ids))
        status = llama_cpp.llama_decode(self.context, batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return int(self.row(-1).argmax())

    def generate(self, prompt: list[int], tokens: int, on_token: OnToken) -> None:
        self.clear()
        ids = prompt
        for _ in range(tokens):
            ids = [self.decode(ids)]
            on_token()

    def logits(self, ids: list[int]) -> Floats:
        self.clear()
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for at, token in enumerate(ids):
            batch.token[at], batch.pos[at], batch.logits[at] = token, at, 1
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, 0
        status = llama_cpp.llama_decode(self.context, batch)
        llama_cpp.llama_batch_free(batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return np.stack([self.row(index) for index in range(len(ids))])
