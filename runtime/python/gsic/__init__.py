"""Runs the linear layers of a PyTorch model by the kernels of a gsic build."""

from .library import GsicError, Linear, Linears, Model
from .patch import Patched, patch

__all__ = ["GsicError", "Linear", "Linears", "Model", "Patched", "patch"]
