"""The measured peers as a table, and as a chart (SVG), which needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Json = dict[str, Any]
BASE = "gsic exact"
HEAD = (
    "",
    "decoding, x exact",
    "first token of 512, x exact's time",
    "of 2,048",
    "decoding behind 4,096",
    "KL, nats per token",
    "why not",
)


def kl_of(row: Json) -> float | None:
    """Mean KL over the texts, each with the same weight."""
    if row["texts"] is None:
        return None
    values = [text["kl"]["value"] for text in row["texts"].values()]
    return sum(values) / len(values)


def ratio(spread: Json | None, own: str = "") -> str:
    """The median, and from least to most where there are several; `own` is the base's figure."""
    if spread is None:
        return "-"
    if own:
        return f"1 ({own})"
    between = f" ({spread['least']:.2f} to {spread['most']:.2f})"
    return f"{spread['median']:.2f}{between * (spread['least'] < spread['most'])}"


def cells(row: Json) -> list[str]:
    kl = kl_of(row)
    found: list[str] = []
    for part in (row, row["long"]):
        own = row["name"] == BASE and part["rate"] is not None
        rate = f"{part['rate']['median']:.0f} tokens/s" if own else ""
        seconds = f"{part['first_token_seconds']['median']:.2f} s" if own else ""
        found += [ratio(part["decode"], rate), ratio(part["first"], seconds)]
    decode, first, behind, first_long = found
    name = f"**{row['name']}**" if row["family"] == "gsic" else row["name"]
    quality = "-" if kl is None else f"{kl:.4f}"
    return [name, decode, first, first_long, behind, quality, row["reason"] or ""]


def table(rows: list[Json]) -> str:
    """In Markdown: one line a row, the fastest first; rows without a speed last."""

    def order(row: Json) -> float:
        return 0 if row["decode"] is None else -row["decode"]["median"]

    lines = [HEAD, ("---",) * len(HEAD), *(cells(row) for row in sorted(rows, key=order))]
    if not any(row["reason"] for row in rows):
        lines = [line[:-1] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def chart(rows: list[Json], path: Path) -> None:
    """KL against decoding's speed, both on logarithmic scales. A KL of 0 is drawn at the floor."""
    import matplotlib
    import numpy

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gsic"
    from adjustText import adjust_text
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(11, 7))
    floor = 1e-5
    names = []
    for family in dict.fromkeys(row["family"] for row in rows):
        members = [
            row for row in rows if row["family"] == family and row["decode"] and row["texts"]
        ]
        if not members:
            continue
        x = [row["decode"]["median"] for row in members]
        y = [max(kl_of(row) or 0, floor) for row in members]
        low = [row["decode"]["median"] - row["decode"]["least"] for row in members]
        high = [row["decode"]["most"] - row["decode"]["median"] for row in members]
        marker = "*" if family == "gsic" else "o"
        panel.errorbar(x, y, xerr=[low, high], fmt=marker, capsize=2, label=family)
        for row, across, up in zip(members, x, y):
            names.append(panel.text(across, up, row["name"], fontsize=8))
    panel.set(xscale="log", yscale="log", xlabel="decoding, x gsic exact, same run")
    panel.set_ylabel(f"KL(bf16 || row), nats a token; at {floor:g}: that or less")
    panel.grid(True, which="both", alpha=0.2)
    panel.legend()
    figure.tight_layout()
    numpy.random.seed(0)  # of adjust_text, so that equal rows give an equal file
    adjust_text(names, ax=panel, arrowprops={"arrowstyle": "-", "color": "gray", "lw": 0.5})
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
