"""Growth as plots (SVG): one file a question, one line a build and mode. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Json = dict[str, Any]
LABELS = {
    "threads": "threads",
    "context": "tokens of context before the first decoded one",
    "size": "bytes of weights a dense token reads",
    "draft": "tokens drafted at once (lossless)",
    "k": "k, the width of the gated subspace",
}


def draw(kind: str, points: list[Json], path: Path) -> None:
    """Decoding as a ratio to exact of the same run, and in tokens a second, with their spreads."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gsic"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(12, 4.5))
    wanted = (("ratio", "decoding, x exact, same run"), ("rate", "decoding, tokens/s"))
    for panel, (figure_of, label) in zip(panels, wanted):
        for name in dict.fromkeys(point["line"] for point in points):
            mine = sorted((p for p in points if p["line"] == name), key=lambda point: point["x"])
            mine = [point for point in mine if point[figure_of]]
            x = [point["x"] for point in mine]
            y = [point[figure_of]["median"] for point in mine]
            low = [point[figure_of]["median"] - point[figure_of]["least"] for point in mine]
            high = [point[figure_of]["most"] - point[figure_of]["median"] for point in mine]
            panel.errorbar(x, y, yerr=[low, high], marker="o", capsize=2, label=name)
        panel.set(xlabel=LABELS[kind], ylabel=label)
        panel.set_xscale("log" if kind in ("context", "size") else "linear")
        panel.set_yscale("log" if kind == "size" and figure_of == "rate" else "linear")
        panel.set_ylim(bottom=None if panel.get_yscale() == "log" else 0)
        panel.grid(True, alpha=0.2)
    panels[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
