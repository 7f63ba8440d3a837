"""Runs the linear layers of a PyTorch model, or of an ONNX model, by the kernels of a gsic build."""

from .library import GsicError, Linear, Linears, Model

__all__ = ["GsicError", "Linear", "Linears", "Model", "Patched", "patch"]


def __getattr__(name: str):
    # PyTorch is imported when it is asked for, so that others need not have it.
    if name not in ("Patched", "patch"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(".patch", __name__)
    globals().update(Patched=module.Patched, patch=module.patch)
    return globals()[name]
