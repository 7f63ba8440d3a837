"""The measured rows as a table, and as a chart (SVG). The chart needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

MARKERS = {"gsic": ("*", "#c0392b"), "llama.cpp": ("o", "#2c6fbb")}
OTHER = (("s", "#888888"), ("D", "#444444"))


def table(rows: list[Json]) -> str:
    """One line a row, by bytes; KL with its 95 % interval. Plans beside what they compete with."""
    names = list(rows[0]["texts"])
    head = ["", "bits", "of bf16"]
    for name in names:
        head += [f"{name}: KL", "95 %", "ppl ratio", "top-1"]
    plans = [row for row in rows if row["family"] == "gsic"]
    head += ["gsic within its bytes"] if plans else []
    lines = [head]
    for row in sorted(rows, key=lambda row: (row["bytes"], row["name"])):
        cells = [row["name"], f"{row['bits_per_weight']:.2f}", f"{row['share']:.3f}"]
        for text in row["texts"].values():
            cells.append(f"{text['kl']['value']:.4f}")
            cells.append(f"{text['kl']['low']:.4f}-{text['kl']['high']:.4f}")
            cells += [f"{text['perplexity_ratio']['value']:.4f}", f"{text['top1']['value']:.3f}"]
        lines.append([*cells, *([against(row, plans)] if plans else [])])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))
        )
        for line in lines
    )


def against(row: Json, plans: list[Json]) -> str:
    """The least KL of gsic's plans that read no more than this row, by text: best first or not."""
    if row["family"] == "gsic":
        return ""
    within = [plan for plan in plans if plan["bytes"] <= row["bytes"]]
    if not within:
        return "none"
    parts: list[str] = []
    for name, text in row["texts"].items():
        best = min(plan["texts"][name]["kl"]["value"] for plan in within)
        parts.append(f"{best:.4f} {'better' if best < text['kl']['value'] else 'worse'}")
    return ", ".join(parts)


def own_logits(rows: list[Json]) -> Iterator[str]:
    """llama.cpp's own logits beside gsic's of the same file: the first window of each text."""
    for row in rows:
        if "llama_cpp" not in row:
            continue
        parts: list[str] = []
        for name, own in row["llama_cpp"].items():
            count = len(own["kl_by_window"])
            here = sum(row["texts"][name]["kl_by_window"][:count]) / count
            parts.append(f"{name} {own['kl']['value']:.4f} (weights alone: {here:.4f})")
        yield f"{row['name']}: {', '.join(parts)}"


def chart(rows: list[Json], path: Path) -> None:
    """KL, on a logarithmic scale, against bytes: one panel a text, one line a family."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gsic"
    from matplotlib import pyplot

    names = list(rows[0]["texts"])
    figure, panels = pyplot.subplots(
        1, len(names), figsize=(6.5 * len(names), 5.5), sharey=True, squeeze=False
    )
    families = list(dict.fromkeys(row["family"] for row in rows))
    others = iter(OTHER)
    styles = {one: MARKERS[one] if one in MARKERS else next(others) for one in families}
    for panel, name in zip(panels[0], names):
        for family in families:
            members = [row for row in rows if row["family"] == family]
            draw_family(panel, sorted(members, key=lambda row: row["bytes"]), name, styles[family])
        panel.set(title=name, xlabel="bytes of linear weights a token, share of bf16", yscale="log")
        panel.grid(True, which="both", alpha=0.2)
    panels[0][0].set_ylabel("KL(bf16 || quantised), nats a token")
    panels[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def draw_family(panel: Any, rows: list[Json], name: str, style: tuple[str, str]) -> None:
    """Points with their intervals; labels where points are not those of a regular series."""
    marker, colour = style
    x = [row["share"] for row in rows]
    kl = [row["texts"][name]["kl"] for row in rows]
    y = [one["value"] for one in kl]
    spread = [[one["value"] - one["low"] for one in kl], [one["high"] - one["value"] for one in kl]]
    family = rows[0]["family"]
    regular = family not in MARKERS
    panel.errorbar(
        x,
        y,
        yerr=spread,
        fmt=marker,
        linestyle="-" if regular else "none",
        color=colour,
        label=family,
        capsize=2,
        linewidth=1,
        markersize=9 if family == "gsic" else 5,
    )
    for row, at, height in zip(rows, x, y):
        text = row["name"].split(" bits")[0].removeprefix("RTN ") if regular else row["name"]
        panel.annotate(
            text, (at, height), (4, 4), textcoords="offset points", fontsize=7, color=colour
        )
