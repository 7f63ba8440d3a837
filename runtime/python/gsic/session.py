"""One sequence of tokens with its KV cache: logits, and going back."""

from collections.abc import Sequence
from ctypes import byref, c_float, c_void_p

from .integers import MOST_64, id_array, whole
from .library import Opened, encoded


class Session:
    """
    A sequence that grows. `mode` as in gsic.h: "exact", "bounded" or "lossless"; None is the build's default. One thread
    at a time. Use it in a `with` statement, or close it.
    """

    def __init__(self, opened: Opened, mode: str | None):
        self._handle = c_void_p()
        self._opened = opened
        opened.check(opened.library.gsic_session_open(opened.use(), encoded(mode), byref(self._handle)))
        opened.parts.add(self)

    def __len__(self) -> int:
        """Tokens that the session holds."""
        return int(self._opened.library.gsic_session_length(self._use()))

    def evaluate(self, ids: Sequence[int], wanted: int | None = None) -> "memoryview[float]":
        """
        Appends tokens, and gives the logits behind the last `wanted` of them (None: all): f32 [wanted, vocabulary]. NumPy
        and PyTorch take the memory as it is: np.asarray(logits), torch.frombuffer(logits, dtype=torch.float32).
        GsicError if the context is full, or an id is none of the vocabulary; ValueError if more is wanted than there is.
        """
        array = id_array(ids)
        wanted = whole(len(array) if wanted is None else wanted, "wanted", len(array))
        vocabulary = self._opened.info.vocabulary
        out = (c_float * (wanted * vocabulary))()
        self._opened.check(
            self._opened.library.gsic_evaluate(self._use(), array, len(array), out if wanted else None, wanted)
        )
        flat = memoryview(out).cast("B")
        # A shape without elements is none for a memoryview.
        return flat.cast("f", (wanted, vocabulary)) if wanted else flat.cast("f")

    def rewind(self, length: int = 0) -> None:
        """Keeps the first `length` tokens; later ones are forgotten."""
        self._opened.check(self._opened.library.gsic_session_rewind(self._use(), whole(length, "length", MOST_64)))

    def close(self) -> None:
        """Gives back its KV cache; nothing happens the second time."""
        if self._handle:
            self._opened.library.gsic_session_close(self._handle)
            self._handle = c_void_p()

    def _use(self) -> c_void_p:
        if not self._handle:
            raise ValueError("the session is closed")
        return self._handle

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
