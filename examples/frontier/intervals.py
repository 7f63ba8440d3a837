"""The intervals of `gsic eval`, draw for draw. Needs only the standard library."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

RESAMPLES = 1000
SEED = 12345


def uniform(seed: int) -> Callable[[], float]:
    """Numbers in [0, 1) by the 32-bit generator mulberry32, as in evaluate/bootstrap.ts."""
    mask = 0xFFFFFFFF
    state = seed

    def following() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) & mask
        t = ((state ^ (state >> 15)) * (1 | state)) & mask
        t ^= (t + (((t ^ (t >> 7)) * (61 | t)) & mask)) & mask
        return ((t ^ (t >> 14)) & mask) / 4294967296

    return following


def bootstrap(count: int, statistic: Callable[[list[int]], float]) -> dict[str, float]:
    """Percentile bootstrap (Efron 1979) over windows, with the draws of `gsic eval`."""
    random = uniform(SEED)
    draws = ([int(random() * count) for _ in range(count)] for _ in range(RESAMPLES))
    values = sorted(statistic(drawn) for drawn in draws)
    value = statistic(list(range(count)))
    low, high = values[int(RESAMPLES * 0.025)], values[ceil(RESAMPLES * 0.975) - 1]
    return {"value": value, "low": low, "high": high}
