"""Integers as C takes them: ctypes would cut what is too large to its lowest bits, which are another number."""

from collections.abc import Sequence
from ctypes import Array, c_int32
from operator import index

from .errors import GsicError
from .header import INVALID_ARGUMENT

MOST_32, MOST_64 = 2**32 - 1, 2**64 - 1
"""The largest unsigned integers of 32 and of 64 bits."""
_MOST_ID = 2**31 - 1


def whole(value: int, what: str, most: int) -> int:
    """`value`, which must be from 0 to `most`. ValueError where it is not, TypeError where it is no integer."""
    number = index(value)
    if not 0 <= number <= most:
        raise ValueError(f"{what} is {number}; it must be an integer from 0 to {most}")
    return number


def token_id(value: int) -> int:
    """An id that fits an int32; whether the model has it is for the library to say. GsicError where it does not fit."""
    number = index(value)
    if not 0 <= number <= _MOST_ID:
        raise GsicError(INVALID_ARGUMENT, f"{number} is no id of a token; ids are integers from 0 to {_MOST_ID}")
    return number


def id_array(ids: Sequence[int]) -> "Array[c_int32]":
    """Ids as an array of C. GsicError where one does not fit."""
    return (c_int32 * len(ids))(*(token_id(one) for one in ids))
