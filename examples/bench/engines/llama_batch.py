"""llama.cpp's own batching, through its C interface: one llama_decode a pass, as llama-batched-bench
calls it, and its default settings. Prompts that are waiting are read whole, beside the tokens of
those who write. A greedy token is an argmax by numpy, which costs less than llama.cpp's sampler."""

from __future__ import annotations

from pathlib import Path

import llama_cpp
import numpy as np

from company import LIMIT, USERS, Ids, Text

CONTEXT = LIMIT + 64  # tokens of a text, prompt and all
COLUMNS = 2048  # tokens of a pass, at most


class LlamaBatch:
    """A GGUF file."""

    def __init__(self, file: Path, threads: int) -> None:
        self.model = llama_cpp.llama_model_load_from_file(
            str(file).encode(), llama_cpp.llama_model_default_params()
        )
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch = (USERS + 1) * CONTEXT, COLUMNS
        settings.n_seq_max = USERS + 1
        settings.n_threads = settings.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        if not self.context:
            raise RuntimeError(f"llama.cpp cannot open {file}")
        vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.vocabulary = vocabulary
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(COLUMNS, 0, 1)
        self.active: dict[int, Text] = {}  # by the sequence's number

    def submit(self, prompt: Ids, limit: int) -> Text:
        number = next(i for i in range(USERS + 1) if i not in self.active)
        text = self.active[number] = Text(prompt, limit)
        return text

    def cancel(self, text: Text) -> None:
        for number, one in list(self.active.items()):
            if one is text:
                text.ended = True
                del self.active[number]
                llama_cpp.llama_memory_seq_rm(self.memory, number, -1, -1)

    def add(self, number: int, ids: Ids, position: int) -> int:
        """Adds tokens of a text; the column of the last, which has logits."""
        batch = self.batch
        for i, token in enumerate(ids):
            at = batch.n_tokens
            batch.token[at], batch.pos[at] = token, position + i
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, number
            batch.logits[at] = i == len(ids) - 1
            batch.n_tokens += 1
        return batch.n_tokens - 1

    def step(self) -> None:
        if not self.active:
            return
        self.batch.n_tokens = 0
        columns = {}
        for number, text in self.active.items():
            position = len(text.prompt) + len(text.ids) - 1
            ids, first = (text.ids[-1:], position) if text.ids else (text.prompt, 0)
            columns[number] = self.add(number, ids, first)
        status = llama_cpp.llama_decode(self.context, self.batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        for number, column in columns.items():
            logits = llama_cpp.llama_get_logits_ith(self.context, column)
            row = np.ctypeslib.as_array(logits, (self.vocabulary,))
            text = self.active[number]
            text.append(int(row.argmax()))
            if len(text.ids) == text.limit:
                self.cancel(text)
