"""An opened build, by the C interface of gsic's runtime, gsic.h, through ctypes. Needs no PyTorch."""

import ctypes
import os
import weakref
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Protocol

from .errors import GsicError
from .header import ABI_VERSION, BAD_BUNDLE, ModelInfo, OpenOptions, declare
from .integers import MOST_32, whole


class Closable(Protocol):
    """What is opened from a build, and is closed before it."""

    def close(self) -> None:
        """Gives back what it holds; nothing happens the second time."""


class Opened:
    """
    A bundle that the runtime has opened, for all that is opened from it: each keeps it alive. `build` is the folder that
    `gsic build` writes, or its bundle, a .gsi file. FileNotFoundError where there is neither; GsicError where the runtime
    refuses it.
    """

    def __init__(self, build: str | os.PathLike[str], threads: int, target: str | None, device: int):
        self.handle = c_void_p()
        bundle = find_bundle(build)
        self.library = load_library(bundle.parent)
        self.parts: weakref.WeakSet[Closable] = weakref.WeakSet()
        threads, device = whole(threads, "threads", MOST_32), whole(device, "device", MOST_32)
        options = OpenOptions(threads, encoded(target), 0, device)
        self.check(self.library.gsic_open(os.fsencode(bundle), byref(options), byref(self.handle)))
        self.info = ModelInfo()
        self.check(self.library.gsic_describe(self.handle, byref(self.info)))

    def check(self, status: int) -> None:
        """Raises GsicError with the library's message unless `status` is 0."""
        if status != 0:
            raise GsicError(status, self.library.gsic_last_error().decode(errors="replace"))

    def use(self) -> c_void_p:
        """The handle. ValueError once the build is closed."""
        if not self.handle:
            raise ValueError("the model is closed")
        return self.handle

    def close(self) -> None:
        """Closes what was opened from the build, and then the build; nothing happens the second time."""
        for part in list(getattr(self, "parts", ())):
            part.close()
        if self.handle:
            self.library.gsic_close(self.handle)
            self.handle = c_void_p()

    def __del__(self) -> None:
        self.close()


def find_bundle(build: str | os.PathLike[str]) -> Path:
    """The bundle of a build. FileNotFoundError, with what to give instead, where there is none."""
    place = Path(build)
    if not place.exists():
        raise FileNotFoundError(f"{place}: there is nothing here; give the folder that `gsic build` has written")
    if place.is_file():
        return place
    found = sorted(place.glob("*.gsi"))
    if len(found) != 1:
        what = "holds no bundle (.gsi), and so is no build" if not found else f"holds {len(found)} bundles (.gsi)"
        next_step = "that `gsic build` has written" if not found else "of one build, or one of the bundles"
        raise FileNotFoundError(f"{place}: {what}; give the folder {next_step}")
    return found[0]


def load_library(folder: Path) -> ctypes.CDLL:
    """
    The runtime: the one that came with this package, or in a checkout, where none is compiled, the build's own in
    `folder`. FileNotFoundError where there is neither; GsicError if it is of another version of gsic.h.
    """
    own = Path(__file__).with_name("libgsic.so")
    found = [own] if own.exists() else sorted(folder.glob("lib*.so"))
    if not found:
        raise FileNotFoundError(
            f"{folder}: holds no lib*.so, and this installation of gsic has no runtime of its own; "
            "give the whole folder of a build, or install gsic's wheel"
        )
    library = ctypes.CDLL(str(found[0]))
    version = library.gsic_abi_version()
    if version != ABI_VERSION:
        raise GsicError(
            BAD_BUNDLE,
            f"{found[0]}: is of version {version} of gsic.h, and this package needs {ABI_VERSION}; "
            "build the model again with this version of gsic",
        )
    declare(library)
    return library


def encoded(text: str | None) -> bytes | None:
    """A text as C takes it; None stays None, a null pointer."""
    return None if text is None else text.encode()
