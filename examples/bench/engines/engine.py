"""What every engine offers: greedy decoding of a number of tokens, and logits of a sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
OnToken = Callable[[], None]


class Engine(Protocol):
    """A loaded model."""

    def generate(self, prompt: list[int], tokens: int, on_token: OnToken) -> None:
        """Goes on from an empty cache, greedily, and calls on_token when a token is there.

        Makes `tokens` tokens, ends of text among them, unless the engine cannot go on behind one.
        """
        ...

    def logits(self, ids: list[int]) -> Floats:
        """Logits [tokens, vocabulary] of one sequence."""
        ...
