"""Which linears of a build stand for a weight of a model, by the tensors' names and shapes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .linears import Linear


@dataclass(frozen=True)
class Match:
    """Neighbouring columns of one call: what one module, or one fused projection, computes."""

    call: int
    column: int
    out: int
    d: int
    has_bias: bool


def by_tensor(linears: Iterable[Linear]) -> dict[str, list[Linear]]:
    """The linears that each tensor of the source model holds, in the order of its rows."""
    found = defaultdict(list)
    for one in linears:
        found[one.tensor].append(one)
    return {tensor: sorted(parts, key=lambda part: part.first) for tensor, parts in found.items()}


def join(parts: list[Linear]) -> Match | None:
    """The columns of linears that stand side by side in one call, in this order; None if they do not."""
    first = parts[0]
    column = first.column
    for part in parts:
        if part.call != first.call or part.column != column or part.has_bias != first.has_bias:
            return None
        column += part.out
    return Match(first.call, first.column, column - first.column, first.d, first.has_bias)


def find(tensors: Mapping[str, list[Linear]], names: Iterable[str], prefix: str) -> list[Linear] | None:
    """The linears of a tensor under any of these names, with or without the base model's prefix."""
    for name in names:
        for candidate in (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")):
            if candidate in tensors:
                return tensors[candidate]
    return None
