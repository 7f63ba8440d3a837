"""gsic's batches, through the C interface of a build's library (gsic.h). Standard library."""

from __future__ import annotations

import ctypes
from pathlib import Path

from company import Ids, Text


class OpenOptions(ctypes.Structure):
    _fields_ = [
        ("threads", ctypes.c_uint32),
        ("target", ctypes.c_char_p),
        ("skip_verification", ctypes.c_int),
        ("device", ctypes.c_uint32),
    ]


class BatchOptions(ctypes.Structure):
    _fields_ = [("mode", ctypes.c_char_p), ("cache_bytes", ctypes.c_uint64)]


class Sampling(ctypes.Structure):
    _fields_ = [
        ("temperature", ctypes.c_float),
        ("top_k", ctypes.c_uint32),
        ("top_p", ctypes.c_float),
        ("seed", ctypes.c_uint64),
        ("min_p", ctypes.c_float),
        ("repetition_penalty", ctypes.c_float),
        ("presence_penalty", ctypes.c_float),
        ("frequency_penalty", ctypes.c_float),
        ("bias", ctypes.c_void_p),
        ("bias_count", ctypes.c_size_t),
    ]


class Event(ctypes.Structure):
    """The first fields; the rest is not read."""

    _fields_ = [
        ("ticket", ctypes.c_uint64),
        ("end", ctypes.c_int),
        ("status", ctypes.c_int),
        ("id", ctypes.c_int32),
    ]


EventCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Event), ctypes.c_void_p)


class Request(ctypes.Structure):
    _fields_ = [
        ("prompt", ctypes.POINTER(ctypes.c_int32)),
        ("prompt_count", ctypes.c_size_t),
        ("limit", ctypes.c_size_t),
        ("sampling", Sampling),
        ("stop_ids", ctypes.c_void_p),
        ("stop_count", ctypes.c_size_t),
        ("window", ctypes.c_size_t),
        ("log_probabilities", ctypes.c_int),
        ("alternatives", ctypes.c_uint32),
        ("score_prompt", ctypes.c_int),
        ("constrained", ctypes.c_int),
        ("callback", EventCallback),
        ("user", ctypes.c_void_p),
    ]


class GsicBatch:
    """One mode of a build."""

    def __init__(self, build: Path, mode: str, threads: int) -> None:
        (library,) = build.glob("lib*.so")
        (bundle,) = build.glob("*.gsi")
        self.library = ctypes.CDLL(str(library))
        self.library.gsic_last_error.restype = ctypes.c_char_p
        self.texts: dict[int, Text] = {}
        self.callback = EventCallback(self.on_event)
        model, self.batch = ctypes.c_void_p(), ctypes.c_void_p()
        options, batch = OpenOptions(threads=threads), BatchOptions(mode=mode.encode())
        path = str(bundle).encode()
        self.check(self.library.gsic_open(path, ctypes.byref(options), ctypes.byref(model)))
        self.check(
            self.library.gsic_batch_open(model, ctypes.byref(batch), ctypes.byref(self.batch))
        )

    def check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(self.library.gsic_last_error().decode())

    def on_event(self, event: "ctypes._Pointer[Event]", _user: object) -> int:
        one = event.contents
        if one.end == 0:
            self.texts[one.ticket].append(one.id)
        else:
            self.texts.pop(one.ticket).ended = True
        return 0

    def submit(self, prompt: Ids, limit: int) -> Text:
        text = Text(prompt, limit)
        request = Request(
            prompt=(ctypes.c_int32 * len(prompt))(*prompt),
            prompt_count=len(prompt),
            limit=limit,
            callback=self.callback,
        )
        ticket = ctypes.c_uint64()
        self.check(
            self.library.gsic_batch_submit(self.batch, ctypes.byref(request), ctypes.byref(ticket))
        )
        self.texts[ticket.value] = text
        return text

    def step(self) -> None:
        self.check(self.library.gsic_batch_run(self.batch, ctypes.c_uint32(0)))

    def cancel(self, text: Text) -> None:
        for ticket, one in self.texts.items():
            if one is text:
                self.check(self.library.gsic_batch_cancel(self.batch, ctypes.c_uint64(ticket)))
