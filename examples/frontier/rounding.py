"""Plain round to nearest: what a quantiser that knows no activations does. Needs numpy."""

from __future__ import annotations

import numpy as np

from tensors import EMBEDDING, HEAD, Floats, Json, linears_of


def round_to_nearest(weight: Floats, bits: int, group: int) -> Floats:
    """Each group of a row on a grid of 2^bits values from its minimum to its maximum.

    w' = scale q + minimum, with q = round((w - minimum) / scale) between 0 and 2^bits - 1. Scale
    and minimum are in f16, as they are stored. The group must divide the row.
    """
    rows, width = weight.shape
    assert width % group == 0, (weight.shape, group)
    groups = weight.reshape(rows, width // group, group)
    lowest = groups.min(axis=2, keepdims=True).astype(np.float16).astype(np.float32)
    range_of = groups.max(axis=2, keepdims=True) - lowest
    scale = (range_of / (2**bits - 1)).astype(np.float16).astype(np.float32)
    steps = (groups - lowest) / np.where(scale > 0, scale, 1)
    q = np.clip(np.rint(steps), 0, 2**bits - 1)
    return (scale * q + lowest).reshape(rows, width)


def rounded_bytes(shape: tuple[int, ...], bits: int, group: int) -> int:
    """Bytes of a matrix [out, d]: `bits` a weight, and 32 bits a group."""
    rows, width = shape
    return (rows * width * bits + rows * (width // group) * 32) // 8


def linear_bytes(tensors: dict[str, Floats], config: Json, bits: int, group: int) -> int:
    """Bytes of all linears of a rounded model."""
    return sum(rounded_bytes(tensors[name].shape, bits, group) for name in linears_of(config))


def rounded(tensors: dict[str, Floats], config: Json, bits: int, group: int) -> dict[str, Floats]:
    """The model with every linear rounded, the head as well.

    The embedding's rows that are looked up are as they were: a look-up is no linear.
    """
    result = dict(tensors)
    for name in linears_of(config):
        target = HEAD if name == EMBEDDING else name
        result[target] = round_to_nearest(tensors[name], bits, group)
    return result
