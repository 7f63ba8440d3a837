"""Swaps the linears of a PyTorch model for those of a gsic build."""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import torch

from . import operators
from .linears import Linears
from .matching import Match, by_tensor, find, join
from .model import Model

_CHECKED_COLUMNS = 2
_LARGEST_DIFFERENCE = 0.02
"""Of the largest output: what bf16 arithmetic of a host may differ from gsic's f32."""


class GsicLinear(torch.nn.Module):
    """A linear that a gsic build computes; holds no weights."""

    def __init__(self, match: Match, runner: int, sharers: int):
        super().__init__()
        self.in_features, self.out_features = match.d, match.out
        self.match, self.runner, self.sharers = match, runner, sharers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        match = self.match
        return operators.linear(x, self.runner, match.call, match.column, match.out, self.sharers)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, call={self.match.call}"


@dataclass
class Patched:
    """What `patch` did; `restore` undoes it."""

    swapped: list[str]
    """Names of the modules that gsic computes now."""
    left: list[str]
    """Linears of the model that the build has no counterpart of."""
    _originals: list[tuple[torch.nn.Module, str, torch.nn.Module]] = field(repr=False)
    _runner: int = field(repr=False)

    def restore(self) -> None:
        """Puts the model's own linears back, and closes the build."""
        for parent, name, module in self._originals:
            setattr(parent, name, module)
        self._originals = []
        operators.release(self._runner)


def patch(
    model: torch.nn.Module,
    build: str | os.PathLike[str],
    mode: str | None = None,
    *,
    threads: int = 0,
    target: str | None = None,
    check: bool = True,
) -> Patched:
    """
    Swaps every `torch.nn.Linear`, and every Conv1D of GPT-2, whose weight the build was made from, and returns a
    `Patched`. `build` is the folder of a build; `mode`, `threads` and `target` are as in gsic.h. With `check`, each
    swapped module is first compared with the original one on random input in exact mode. The model is left as it was
    where this raises ValueError (they differ, or nothing fits), FileNotFoundError (not the folder of a build), GsicError
    (it cannot be opened, or lacks the mode) or RuntimeError (the model is on a device that gsic does not run on). For
    inference alone.
    """
    opened = Model(build, mode, threads=threads, target=target, device=_device(model))
    linears = Linears(opened)
    try:
        found, left = _matches(model, linears)
        if not found:
            raise ValueError(f"{build}: none of its tensors is a linear of the model; build it from the same checkpoint")
        if check:
            _check(opened, model, found)
    except Exception:
        linears.close()
        raise
    runner = operators.register(linears)
    sharers = Counter(match.call for match in found.values())
    originals = []
    for name, match in found.items():
        path, _, leaf = name.rpartition(".")
        parent = model.get_submodule(path)
        originals.append((parent, leaf, getattr(parent, leaf)))
        setattr(parent, leaf, GsicLinear(match, runner, sharers[match.call]))
    return Patched(list(found), left, originals, runner)


def _device(model: torch.nn.Module) -> int:
    """The number of the GPU that holds the model; 0 where it is on the CPU."""
    return next((each.device.index or 0 for each in model.parameters() if each.device.type == "cuda"), 0)


def _is_linear(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"


def _matches(model: torch.nn.Module, linears: Linears) -> tuple[dict[str, Match], list[str]]:
    tensors = by_tensor(linears.all)
    # Tied weights have several names, of which a checkpoint holds one.
    aliases = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        aliases[id(parameter)].append(name)
    found, left = {}, []
    for name, module in model.named_modules():
        if not _is_linear(module):
            continue
        parts = find(tensors, aliases[id(module.weight)], getattr(model, "base_model_prefix", ""))
        match = None if parts is None else join(parts)
        if match is not None and _fits(match, module):
            found[name] = match
        else:
            left.append(name)
    return found, left


def _fits(match: Match, module: torch.nn.Module) -> bool:
    shape = tuple(module.weight.shape)
    stored = shape if isinstance(module, torch.nn.Linear) else shape[::-1]
    return stored == (match.out, match.d) and (module.bias is not None) == match.has_bias


def _check(opened: Model, model: torch.nn.Module, found: dict[str, Match]) -> None:
    exact = Linears(opened, "exact")
    try:
        generator = torch.Generator().manual_seed(0)
        for name, match in found.items():
            module = model.get_submodule(name)
            x = torch.randn((_CHECKED_COLUMNS, match.d), generator=generator)
            x = x.to(module.weight.device, module.weight.dtype)
            with torch.inference_mode():
                expected = module(x).to(torch.float32)
                y = operators.compute(exact, match.call, x)
            difference = (y[:, match.column : match.column + match.out] - expected).abs().max()
            if not difference <= _LARGEST_DIFFERENCE * expected.abs().max():
                raise ValueError(f"{name}: the build computes something else; build it from the same checkpoint")
    finally:
        exact.close()
