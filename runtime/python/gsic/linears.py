"""The linears of a build, for a host that runs the rest of the model."""

import threading
from ctypes import CDLL, byref, c_void_p
from dataclasses import dataclass

from .header import LinearInfo
from .library import encoded
from .model import Model


@dataclass(frozen=True)
class Linear:
    """One linear of a model: y = W x + b, with W [out, d]."""

    name: str
    """As in graph.ts and report.json."""
    tensor: str
    """The source model's tensor that holds W, from output row `first` on."""
    first: int
    out: int
    d: int
    has_bias: bool
    call: int
    """Linears of one call read one x, and are computed together."""
    column: int
    """Where its columns begin in the call's y, which is `width` wide."""
    width: int


class Linears:
    """The linears of a model in one mode (None: the model's own). Threads take turns."""

    def __init__(self, model: Model, mode: str | None = None):
        self._handle = c_void_p()
        self._opened = opened = model.opened
        self._lock = threading.Lock()
        library = opened.library
        opened.check(library.gsic_linears_open(opened.use(), encoded(mode or model.mode), byref(self._handle)))
        opened.parts.add(self)
        self.all = [self._describe(i) for i in range(library.gsic_linears_count(self._handle))]
        self.shapes = {one.call: (one.d, one.width) for one in self.all}
        """(d, width) of each call."""

    def _describe(self, index: int) -> Linear:
        info = LinearInfo()
        self._opened.check(self._opened.library.gsic_linears_describe(self._handle, index, byref(info)))
        numbers = (info.first, info.out, info.d, bool(info.has_bias), info.call, info.column, info.width)
        return Linear(info.name.decode(), info.tensor.decode(), *numbers)

    @property
    def library(self) -> CDLL:
        """The runtime's library, as ctypes has it."""
        return self._opened.library

    @property
    def handle(self) -> int:
        """The address of the C interface's gsic_linears; 0 once closed."""
        return self._handle.value or 0

    def run(self, call: int, x: int, columns: int, y: int) -> None:
        """x [columns, d] to y [columns, width], contiguous f32 at addresses of the host."""
        with self._lock:
            self._opened.check(self.library.gsic_linears_run(self._handle, call, x, columns, y))

    def enqueue(self, call: int, x: int, columns: int, y: int, stream: int) -> None:
        """The same at addresses of the GPU that the model is on, queued on a stream of its driver."""
        with self._lock:
            self._opened.check(self.library.gsic_linears_enqueue(self._handle, call, x, columns, y, stream))

    def close(self) -> None:
        """Gives back their buffers; nothing happens the second time."""
        if self._handle:
            self.library.gsic_linears_close(self._handle)
            self._handle = c_void_p()

    def __del__(self) -> None:
        self.close()
