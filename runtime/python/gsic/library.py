"""The C interface of a build, gsic.h, through ctypes. Needs no PyTorch."""

import ctypes
import threading
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint32, c_void_p
from dataclasses import dataclass
from pathlib import Path

ABI_VERSION = 2


class GsicError(RuntimeError):
    """A call failed; `status` is gsic.h's number, the message says what, where, and what next."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class _OpenOptions(ctypes.Structure):
    _fields_ = [("threads", c_uint32), ("target", c_char_p), ("skip_verification", c_int), ("device", c_uint32)]


class _ModelInfo(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("family", c_char_p),
        ("target", c_char_p),
        ("modes", c_char_p),
        ("vocabulary", c_uint32),
        ("context", c_uint32),
        ("threads", c_uint32),
        ("has_tokenizer", c_int),
        ("end_of_text", c_int32),
    ]


class _LinearInfo(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("tensor", c_char_p),
        ("first", c_uint32),
        ("out", c_uint32),
        ("d", c_uint32),
        ("has_bias", c_int),
        ("call", c_uint32),
        ("column", c_uint32),
        ("width", c_uint32),
    ]


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


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    signatures = {
        "gsic_open": [c_char_p, POINTER(_OpenOptions), POINTER(c_void_p)],
        "gsic_describe": [c_void_p, POINTER(_ModelInfo)],
        "gsic_linears_open": [c_void_p, c_char_p, POINTER(c_void_p)],
        "gsic_linears_describe": [c_void_p, c_size_t, POINTER(_LinearInfo)],
        "gsic_linears_run": [c_void_p, c_uint32, c_void_p, c_size_t, c_void_p],
        "gsic_linears_enqueue": [c_void_p, c_uint32, c_void_p, c_size_t, c_void_p, c_void_p],
        "gsic_session_open": [c_void_p, c_char_p, POINTER(c_void_p)],
        "gsic_evaluate": [c_void_p, POINTER(c_int32), c_size_t, POINTER(c_float), c_size_t],
    }
    for name, arguments in signatures.items():
        getattr(library, name).argtypes = arguments
        getattr(library, name).restype = c_int
    library.gsic_last_error.restype = c_char_p
    library.gsic_linears_count.argtypes = [c_void_p]
    library.gsic_linears_count.restype = c_size_t
    for name in ("gsic_close", "gsic_linears_close", "gsic_session_close"):
        getattr(library, name).argtypes = [c_void_p]
        getattr(library, name).restype = None
    version = library.gsic_abi_version()
    if version != ABI_VERSION:
        raise GsicError(2, f"{path}: is of version {version} of gsic.h, expected {ABI_VERSION}; build the model again")
    return library


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise FileNotFoundError(f"{folder}: holds {len(found)} files {pattern}, expected one; give the folder of a build")
    return found[0]


class Model:
    """An opened build: the folder that `gsic build` writes. Kept alive by what is opened from it."""

    def __init__(self, build, *, threads: int = 0, target: str | None = None, device: int = 0):
        folder = Path(build)
        self.library = _load(_one(folder, "lib*.so"))
        self._handle = c_void_p()
        options = _OpenOptions(threads, target.encode() if target is not None else None, 0, device)
        self.check(self.library.gsic_open(str(_one(folder, "*.gsi")).encode(), byref(options), byref(self._handle)))
        info = _ModelInfo()
        self.check(self.library.gsic_describe(self._handle, byref(info)))
        self.name = info.name.decode()
        self.target = info.target.decode()
        self.modes = info.modes.decode().split(",")
        self.vocabulary = info.vocabulary

    def check(self, status: int) -> None:
        """Raises GsicError with the library's message unless `status` is 0."""
        if status != 0:
            raise GsicError(status, self.library.gsic_last_error().decode())

    def logits(self, ids, mode: str | None = None) -> list[list[float]]:
        """Logits [tokens, vocabulary] of one sequence by the whole model, as the native executable computes them."""
        session = c_void_p()
        self.check(self.library.gsic_session_open(self._handle, _encoded(mode), byref(session)))
        try:
            out = (c_float * (len(ids) * self.vocabulary))()
            self.check(self.library.gsic_evaluate(session, (c_int32 * len(ids))(*ids), len(ids), out, len(ids)))
        finally:
            self.library.gsic_session_close(session)
        return [out[i : i + self.vocabulary] for i in range(0, len(out), self.vocabulary)]

    def close(self) -> None:
        """Gives everything back; linears that were opened must have been closed."""
        if self._handle:
            self.library.gsic_close(self._handle)
            self._handle = c_void_p()

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()


class Linears:
    """The linears of a model in one mode (None: the build's default). Threads take turns."""

    def __init__(self, model: Model, mode: str | None = None):
        self.model = model
        self._handle = c_void_p()
        self._lock = threading.Lock()
        model.check(model.library.gsic_linears_open(model._handle, _encoded(mode), byref(self._handle)))
        self.all = [self._describe(i) for i in range(model.library.gsic_linears_count(self._handle))]
        self.shapes = {one.call: (one.d, one.width) for one in self.all}
        """(d, width) of each call."""

    def _describe(self, index: int) -> Linear:
        info = _LinearInfo()
        self.model.check(self.model.library.gsic_linears_describe(self._handle, index, byref(info)))
        numbers = (info.first, info.out, info.d, bool(info.has_bias), info.call, info.column, info.width)
        return Linear(info.name.decode(), info.tensor.decode(), *numbers)

    def run(self, call: int, x: int, columns: int, y: int) -> None:
        """x [columns, d] to y [columns, width], contiguous f32 at addresses of the host."""
        with self._lock:
            self.model.check(self.model.library.gsic_linears_run(self._handle, call, x, columns, y))

    def enqueue(self, call: int, x: int, columns: int, y: int, stream: int) -> None:
        """The same at addresses of the GPU that the model is on, queued on a stream of its driver."""
        with self._lock:
            self.model.check(self.model.library.gsic_linears_enqueue(self._handle, call, x, columns, y, stream))

    def close(self) -> None:
        if self._handle:
            self.model.library.gsic_linears_close(self._handle)
            self._handle = c_void_p()

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
