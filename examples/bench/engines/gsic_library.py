"""gsic's builds, through the C interface of their library (gsic.h)."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from engine import Floats, OnToken
from gsic_header import header

TokenCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int32, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p
)


class GsicLibrary:
    """One mode of a build."""

    def __init__(self, build: Path, mode: str, threads: int) -> None:
        (library,) = build.glob("lib*.so")
        (bundle,) = build.glob("*.gsi")
        self.library = ctypes.CDLL(str(library))
        self.library.gsic_last_error.restype = ctypes.c_char_p
        model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        options = header.OpenOptions(threads=threads)
        opened = self.library.gsic_open(
            str(bundle).encode(), ctypes.byref(options), ctypes.byref(model)
        )
        self.check(opened)
        info = header.ModelInfo()
        self.check(self.library.gsic_describe(model, ctypes.byref(info)))
        self.vocabulary = info.vocabulary
        self.check(self.library.gsic_session_open(model, mode.encode(), ctypes.byref(self.session)))

    def check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(self.library.gsic_last_error().decode())

    def rewind(self) -> None:
        self.check(self.library.gsic_session_rewind(self.session, ctypes.c_size_t(0)))

    def generate(self, prompt: list[int], tokens: int, on_token: OnToken) -> None:
        @TokenCallback
        def callback(_id: int, _text: bytes, _length: int, _user: object) -> int:
            on_token()
            return 0

        self.rewind()
        produced = ctypes.c_size_t()
        status = self.library.gsic_generate(
            self.session,
            (ctypes.c_int32 * len(prompt))(*prompt),
            ctypes.c_size_t(len(prompt)),
            ctypes.c_size_t(tokens),
            None,
            callback,
            None,
            None,
            ctypes.byref(produced),
        )
        self.check(status)

    def logits(self, ids: list[int]) -> Floats:
        self.rewind()
        values = np.empty((len(ids), self.vocabulary), np.float32)
        status = self.library.gsic_evaluate(
            self.session,
            (ctypes.c_int32 * len(ids))(*ids),
            ctypes.c_size_t(len(ids)),
            values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            ctypes.c_size_t(len(ids)),
        )
        self.check(status)
        return values
