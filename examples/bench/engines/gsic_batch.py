"""gsic's batches, through the C interface of a build's library (gsic.h). Standard library."""

from __future__ import annotations

import ctypes
from pathlib import Path

from company import Ids, Text
from gsic_header import header


class GsicBatch:
    """One mode of a build."""

    def __init__(self, build: Path, mode: str, threads: int) -> None:
        (library,) = build.glob("lib*.so")
        (bundle,) = build.glob("*.gsi")
        self.library = ctypes.CDLL(str(library))
        self.library.gsic_last_error.restype = ctypes.c_char_p
        self.texts: dict[int, Text] = {}
        self.callback = header.EventCallback(self.on_event)
        model, self.batch = ctypes.c_void_p(), ctypes.c_void_p()
        options = header.OpenOptions(threads=threads)
        batch = header.BatchOptions(mode=mode.encode())
        path = str(bundle).encode()
        self.check(self.library.gsic_open(path, ctypes.byref(options), ctypes.byref(model)))
        self.check(
            self.library.gsic_batch_open(model, ctypes.byref(batch), ctypes.byref(self.batch))
        )

    def check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(self.library.gsic_last_error().decode())

    def on_event(self, event: "ctypes._Pointer[header.Event]", _user: object) -> int:
        one = event.contents
        if one.end == 0:
            self.texts[one.ticket].append(one.id)
        else:
            self.texts.pop(one.ticket).ended = True
        return 0

    def submit(self, prompt: Ids, limit: int) -> Text:
        text = Text(prompt, limit)
        request = header.RequestOptions(
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
