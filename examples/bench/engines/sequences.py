"""What engines with llama.cpp's interface share: texts as sequences of one context, a llama_decode a
pass, as llama-batched-bench calls it. Prompts that are waiting are read whole, beside the tokens of
those who write. A greedy token is an argmax by numpy, which costs less than an engine's sampler."""

from __future__ import annotations

from typing import Any

import numpy as np

from company import LIMIT, USERS, Ids, Text

CONTEXT = LIMIT + 64  # tokens of a text, prompt and all
SEQUENCES = USERS + 1  # a newcomer, too
COLUMNS = 2048  # tokens of a pass, at most


class Sequences:
    """A context with room for SEQUENCES texts. `api` has the interface's functions and structures."""

    def __init__(self, api: Any, context: int, vocabulary: int) -> None:
        self.api, self.context, self.vocabulary = api, context, vocabulary
        self.batch = api.llama_batch_init(COLUMNS, 0, 1)
        self.active: dict[int, Text] = {}  # by the sequence's number

    def forget(self, number: int) -> None:
        """Takes a sequence out of the cache."""
        raise NotImplementedError

    def submit(self, prompt: Ids, limit: int) -> Text:
        number = next(i for i in range(SEQUENCES) if i not in self.active)
        text = self.active[number] = Text(prompt, limit)
        return text

    def cancel(self, text: Text) -> None:
        for number, one in list(self.active.items()):
            if one is text:
                text.ended = True
                del self.active[number]
                self.forget(number)

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
        status = self.api.llama_decode(self.context, self.batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        for number, column in columns.items():
            logits = self.api.llama_get_logits_ith(self.context, column)
            row = np.ctypeslib.as_array(logits, (self.vocabulary,))
            text = self.active[number]
            text.append(int(row.argmax()))
            if len(text.ids) == text.limit:
                self.cancel(text)
