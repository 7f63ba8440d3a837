"""ik_llama.cpp's batching, driven as llama.cpp's is."""

from __future__ import annotations

import ctypes
from pathlib import Path

from ik_llama import open_context, open_model, vocabulary_of
from ik_llama_cpp import _ctypes_api as api

from sequences import CONTEXT, SEQUENCES, Sequences


class IkBatch(Sequences):
    """A GGUF file."""

    def __init__(self, file: Path, threads: int, repack: bool) -> None:
        model = open_model(file, repack)
        context = open_context(model, SEQUENCES * CONTEXT, threads, SEQUENCES)
        super().__init__(api, context, vocabulary_of(model))
        # The package does not declare it.
        self.remove = api._lib.llama_kv_cache_seq_rm
        self.remove.argtypes = [ctypes.c_void_p, *[ctypes.c_int32] * 3]
        self.remove.restype = ctypes.c_bool

    def forget(self, number: int) -> None:
        self.remove(self.context, number, -1, -1)
