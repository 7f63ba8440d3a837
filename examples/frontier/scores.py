"""How far one model's predictions are from another's, by `gsic eval`'s definitions. Needs numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intervals import bootstrap

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

ROWS = 64  # of logits, widened to float64 at a time


@dataclass(frozen=True)
class Scores:
    """Of every predicted token of a window: [tokens - 1] numbers each; nll and KL in nats."""

    nll_reference: Doubles
    nll: Doubles
    kl: Doubles
    top1: Doubles


def log_softmax(logits: Floats) -> Doubles:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def score(reference: Floats, other: Floats, ids: Sequence[int]) -> Scores:
    """Compares logits [tokens, vocabulary] of one window; the last row predicts nothing known."""
    parts: list[Scores] = []
    for start in range(0, len(ids) - 1, ROWS):
        rows = slice(start, min(start + ROWS, len(ids) - 1))
        p, q = log_softmax(reference[rows]), log_softmax(other[rows])
        following = np.asarray(ids[rows.start + 1 : rows.stop + 1])
        index = np.arange(len(following))
        kl = np.maximum(0, (np.exp(p) * (p - q)).sum(axis=1))
        top1 = (p.argmax(axis=1) == q.argmax(axis=1)).astype(np.float64)
        parts.append(Scores(-p[index, following], -q[index, following], kl, top1))
    joined = zip(*((s.nll_reference, s.nll, s.kl, s.top1) for s in parts))
    return Scores(*(np.concatenate(column) for column in joined))


def summary(windows: list[Scores]) -> dict[str, Any]:
    """Means over all tokens, with 95 % intervals over windows: the fields of `gsic eval --json`."""
    counts = [len(one.kl) for one in windows]

    def mean_of(values: list[Doubles]) -> Callable[[list[int]], float]:
        sums = [float(one.sum()) for one in values]
        return lambda drawn: sum(sums[i] for i in drawn) / sum(counts[i] for i in drawn)

    reference = mean_of([one.nll_reference for one in windows])
    nll = mean_of([one.nll for one in windows])
    count = len(windows)
    return {
        "tokens": sum(counts),
        "perplexity": bootstrap(count, lambda drawn: exp(nll(drawn))),
        "perplexity_ratio": bootstrap(count, lambda drawn: exp(nll(drawn) - reference(drawn))),
        "kl": bootstrap(count, mean_of([one.kl for one in windows])),
        "top1": bootstrap(count, mean_of([one.top1 for one in windows])),
    }
