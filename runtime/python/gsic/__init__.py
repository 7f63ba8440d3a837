"""
Models that gsic has built, from Python: `gsic.load(build)` runs a whole model, `gsic.patch(model, build)` puts a build's
linears into a model of PyTorch. vLLM finds gsic as a quantisation method, lm-eval as a model, both by the package's entry
points. Only what is asked for is imported: `gsic.load` needs nothing but Python.
"""

from typing import TYPE_CHECKING

from .batch import Stream
from .errors import GsicError
from .generation import Alternative, Generation, Sampling, Token
from .linears import Linear, Linears
from .model import Model, load
from .session import Session

if TYPE_CHECKING:
    from .patch import Patched, patch

__all__ = [
    "Alternative",
    "Generation",
    "GsicError",
    "Linear",
    "Linears",
    "Model",
    "Patched",
    "Sampling",
    "Session",
    "Stream",
    "Token",
    "load",
    "patch",
]


def __getattr__(name: str) -> object:
    # PyTorch is imported when it is asked for, so that others need not have it.
    if name not in ("Patched", "patch"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(".patch", __name__)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        message = f"gsic.{name} needs PyTorch 2.10 or later, which is not installed; pip install 'torch>=2.10'"
        raise ImportError(message) from None
    globals().update(Patched=module.Patched, patch=module.patch)
    return globals()[name]
