"""llama.cpp's own batching, through its C interface, with its default settings."""

from __future__ import annotations

from pathlib import Path

import llama_cpp

from sequences import COLUMNS, CONTEXT, SEQUENCES, Sequences


class LlamaBatch(Sequences):
    """A GGUF file."""

    def __init__(self, file: Path, threads: int) -> None:
        model = llama_cpp.llama_model_load_from_file(
            str(file).encode(), llama_cpp.llama_model_default_params()
        )
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch = SEQUENCES * CONTEXT, COLUMNS
        settings.n_seq_max = SEQUENCES
        settings.n_threads = settings.n_threads_batch = threads
        context = llama_cpp.llama_init_from_model(model, settings)
        if not context:
            raise RuntimeError(f"llama.cpp cannot open {file}")
        vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        super().__init__(llama_cpp, context, vocabulary)
        self.memory = llama_cpp.llama_get_memory(context)

    def forget(self, number: int) -> None:
        llama_cpp.llama_memory_seq_rm(self.memory, number, -1, -1)
