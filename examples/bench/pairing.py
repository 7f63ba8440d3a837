"""Ratios of speed by pairs: every measurement stands between two of the base. Standard library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

Json = dict[str, Any]
Measure = Callable[[str], Json]
DECODE = "decode_tokens_per_second"
FIRST = "first_token_seconds"


class Failed(Exception):
    """A contender could not be measured; says why."""


def rounds(base: str, names: Sequence[str], count: int, measure: Measure, done: list[Json]) -> None:
    """Measures every name once a round, in turned order, the base before and after each.

    Appends {name, round, decode, first, rate, first_token_seconds} to `done`, the first two as
    ratios to the base, and {name, reason} where a contender fails: it is not tried again. What
    `done` holds already is not measured again. Raises Failed where the base fails.
    """
    failed = {one["name"] for one in done if "reason" in one}
    finished = {(one["name"], one.get("round")) for one in done}
    for number in range(count):
        turn = number % max(len(names), 1)
        before: Json | None = None
        for name in [*names[turn:], *names[:turn]]:
            if name in failed or (name, number) in finished:
                continue
            before = before or measure(base)
            try:
                found = measure(name)
            except Failed as failure:
                failed.add(name)
                done.append({"name": name, "reason": str(failure)})
                continue
            after = measure(base)
            done.append({"name": name, "round": number, **paired(found, before, after)})
            before = after


def paired(found: Json, before: Json, after: Json) -> Json:
    """One measurement as ratios to the mean of the two around it."""
    return {
        "decode": found[DECODE] / ((before[DECODE] + after[DECODE]) / 2),
        "first": found[FIRST] / ((before[FIRST] + after[FIRST]) / 2),
        "rate": found[DECODE],
        "first_token_seconds": found[FIRST],
        "base_rate": (before[DECODE] + after[DECODE]) / 2,
        "base_first_token_seconds": (before[FIRST] + after[FIRST]) / 2,
        "tokens": found["tokens"],
    }


def spread(values: Sequence[float]) -> Json:
    return {"median": median(values), "least": min(values), "most": max(values)}


def base_summary(done: Sequence[Json]) -> Json:
    """The base's own summary: its ratios are 1, its figures those around the others."""
    samples = [one for one in done if "round" in one]
    result: Json = {"rounds": len(samples), "reason": None}
    for key, base in (
        ("decode", None),
        ("first", None),
        ("rate", "base_rate"),
        ("first_token_seconds", "base_first_token_seconds"),
    ):
        result[key] = spread([one[base] if base else 1.0 for one in samples]) if samples else None
    return result


def summary(name: str, done: Sequence[Json]) -> Json:
    """Median and spread over the rounds, or the reason why there is none."""
    mine = [one for one in done if one["name"] == name]
    reasons = [one["reason"] for one in mine if "reason" in one]
    samples = [one for one in mine if "round" in one]
    result: Json = {"rounds": len(samples), "reason": reasons[0] if reasons else None}
    for key in ("decode", "first", "rate", "first_token_seconds"):
        result[key] = spread([one[key] for one in samples]) if samples else None
    return result
