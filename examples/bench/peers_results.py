"""The measured peers as a table, and as a chart (SVG), which needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Json = dict[str, Any]
HEAD = ("", "decoding, x exact", "spread", "first token, x exact", "KL", "why not")


def kl_of(row: Json) -> float | None:
    """Mean KL over the texts, each with the same weight."""
    if row["texts"] is None:
        return None
    values = [text["kl"]["value"] for text in row["texts"].values()]
    return sum(values) / len(values)


def table(rows: list[Json]) -> str:
    """One line a row, the fastest first; rows without a speed last."""

    def cells(row: Json) -> list[str]:
        speed, first, kl = row["decode"], row["first"], kl_of(row)
        return [
            row["name"],
            "-" if speed is None else f"{speed['median']:.2f}",
            "-" if speed is None else f"{speed['least']:.2f}-{speed['most']:.2f}",
            "-" if first is None else f"{first['median']:.2f}",
            "-" if kl is None else f"{kl:.4f}",
            row["reason"] or "",
        ]

    def order(row: Json) -> float:
        return 0 if row["decode"] is None else -row["decode"]["median"]

    lines = [list(HEAD), *(cells(row) for row in sorted(rows, key=order))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    ends = (0, len(HEAD) - 1)
    return "\n".join(
        "  ".join(
            c.ljust(w) if i in ends else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


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
