"""The compiled part of the operator, on PyTorch's stable ABI (native/operator.cpp); gsic's wheel has it."""

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path

import torch

from .linears import Linears

LEAST_TORCH = (2, 10)
"""The first version whose stable ABI has what the compiled part calls."""


_Run = CFUNCTYPE(c_int, c_void_p, c_uint32, POINTER(c_float), c_size_t, POINTER(c_float))
_LastError = CFUNCTYPE(c_char_p)


class _LinearFunctions(ctypes.Structure):
    _fields_ = [("run", _Run), ("last_error", _LastError)]


class _CallShape(ctypes.Structure):
    _fields_ = [("call", c_int64), ("d", c_int64), ("width", c_int64)]


def require_torch(version: str) -> None:
    """ImportError if this PyTorch is too old."""
    parts = version.split(".")
    if (int(parts[0]), int(parts[1])) < LEAST_TORCH:
        least = ".".join(str(part) for part in LEAST_TORCH)
        raise ImportError(
            f"gsic's operator needs PyTorch {least} or later, and this is {version}; pip install 'torch>={least}'. "
            "gsic.load runs a whole model without PyTorch"
        )


@cache
def library() -> ctypes.CDLL:
    """The compiled part, loaded once. ImportError, with what to install, where it is not there or does not load."""
    require_torch(torch.__version__)
    path = Path(__file__).with_name("_torch.abi3.so")
    if not path.exists():
        raise ImportError(
            f"{path.parent}: this installation of gsic has no compiled part for PyTorch; install gsic's wheel, which "
            "`npm run wheel` makes. gsic.load runs a whole model without it"
        )
    loaded = ctypes.CDLL(str(path))
    loaded.gsic_torch_define.argtypes = [c_char_p]
    loaded.gsic_torch_define.restype = c_char_p
    loaded.gsic_torch_register.argtypes = [c_void_p, _LinearFunctions, POINTER(_CallShape), c_size_t]
    loaded.gsic_torch_register.restype = c_int64
    loaded.gsic_torch_release.argtypes = [c_int64]
    loaded.gsic_torch_release.restype = None
    return loaded


def define(namespace: str) -> None:
    """Defines `linear` in a namespace of torch.ops, with its kernel for CPUs."""
    problem = library().gsic_torch_define(namespace.encode())
    if problem is not None:
        raise ImportError(f"PyTorch does not take gsic's operator: {problem.decode(errors='replace')}")


def register(linears: Linears) -> int:
    """The number by which the operator finds opened linears."""
    runtime = linears.library
    functions = _LinearFunctions(
        ctypes.cast(runtime.gsic_linears_run, _Run), ctypes.cast(runtime.gsic_last_error, _LastError)
    )
    shapes = [_CallShape(call, d, width) for call, (d, width) in linears.shapes.items()]
    return library().gsic_torch_register(linears.handle, functions, (_CallShape * len(shapes))(*shapes), len(shapes))


def release(number: int) -> None:
    """Waits until nobody computes with them; the number is not used again."""
    library().gsic_torch_release(number)
