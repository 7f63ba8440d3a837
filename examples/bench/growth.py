"""How speed grows with threads, context, model size, draft length and k.

    python3 examples/bench/growth.py BUILD [BUILD ...] [--only KINDS] [--quick] [--json]

Threads, context and draft length are measured on the first BUILD, size over all of them, and k on
builds of tiny-gpt2 that are made here. Everything is by `gsic bench`, which interleaves the modes;
ratios are to exact mode in the same run. Writes growth.json and one SVG a kind. What was measured
is kept in --out; run again to go on, --fresh to begin anew. Needs pip for matplotlib.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path += [str(HERE.parent / "frontier")]  # its module is shared

import environment

CACHE = HERE / "cache"
DIST = ROOT / "dist" / "compiler"
TINY = ROOT / "examples" / "tiny-gpt2"
CONTEXTS = (16, 512, 4096)
DRAFTS = (1, 2, 4, 8, 12)
WIDTHS = (16, 32, 64, 96, 128)
KINDS = ("threads", "context", "size", "draft", "k")
Json = dict[str, Any]


class Stopped(Exception):
    """A command of gsic failed; says which."""


def say(message: str) -> None:
    print(f"growth: {message}", file=sys.stderr, flush=True)


def node(*arguments: str) -> str:
    done = subprocess.run(["node", *arguments], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Stopped(f"{' '.join(arguments[-4:])} ended with {done.returncode}")
    return done.stdout


def report_of(build: Path) -> Json:
    return json.loads((build / "report.json").read_text(encoding="utf-8"))


def bench(build: Path, settings: Json) -> Json:
    """`gsic bench --json`; a draft length is an option of its tool alone."""
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    if "draft-length" not in settings:
        return json.loads(node(str(DIST / "main.js"), "bench", str(build), "--json", *words))
    (bundle,) = build.glob("*.gsi")
    tool = (DIST / "native.js").as_uri()
    arguments = json.dumps(["bench", str(bundle), *words])
    script = f"const {{ runTool }} = await import({json.dumps(tool)});"
    script += f"process.stdout.write(await runTool({arguments}))"
    return json.loads(node("--input-type=module", "-e", script))


class Measurements:
    """Runs of `gsic bench`, each remembered under what it depends on."""

    def __init__(self, folder: Path, settings: Json, fresh: bool) -> None:
        self.folder, self.settings, self.fresh = folder, settings, fresh
        folder.mkdir(parents=True, exist_ok=True)

    def points(self, build: Path, x: float, name: str, **more: int) -> Iterator[Json]:
        """One point a mode: {line, x, rate, ratio, drafts}, or {line, x, reason}."""
        settings = {**self.settings, **{key.replace("_", "-"): one for key, one in more.items()}}
        (bundle,) = build.glob("*.gsi")
        digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
        key = json.dumps([digest, settings], sort_keys=True)
        file = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
        if self.fresh or not file.exists():
            say(f"{build.name}: {settings}")
            try:
                found = bench(build, settings)
            except Stopped as stop:
                say(str(stop))
                yield {"line": name, "x": x, "rate": None, "ratio": None, "reason": str(stop)}
                return
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(found), encoding="utf-8")
            partial.replace(file)
        found = json.loads(file.read_text(encoding="utf-8"))
        for mode, one in found["modes"].items():
            point = {"line": f"{name} {mode}", "x": x, "rate": one["decode_tokens_per_second"]}
            first = one.get("seconds_to_first_token")
            more_of = {"drafts": one.get("drafts"), "seconds_to_first_token": first}
            yield {**point, "ratio": one.get("decode_ratio_to_exact"), **more_of}


def gated_build(k: int) -> Path:
    """tiny-gpt2 in the paper's form, made unless it is there."""
    folder = CACHE / "growth"
    out = folder / f"tiny-gpt2-k{k}"
    if not (out / "report.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        toml = folder / f"k{k}.toml"
        source, text = json.dumps(str(TINY / "model")), json.dumps(str(TINY / "calibration.txt"))
        toml.write_text(
            f'[model]\nname = "tiny-gpt2"\nsource = {source}\n\n[calibration]\ntext = [{text}]\n\n'
            '[quality]\nmode = "bounded"\n\n'
            f'[plan]\nforms = ["gated"]\nk = [{k}]\nepsilon = [0.2]\n',
            encoding="utf-8",
        )
        node(str(DIST / "main.js"), "build", str(toml), "--out", str(out), "--json")
    return out


def points_of(kind: str, builds: list[Path], runs: Measurements, quick: bool) -> Iterator[Json]:
    """The points of one plot."""
    first = builds[0]
    report = report_of(first)
    if kind == "threads":
        for threads in range(1, (os.cpu_count() or 1) + 1):
            yield from runs.points(first, threads, first.name, threads=threads)
    elif kind == "context":
        for prompt in CONTEXTS[: 2 if quick else None]:
            if prompt + runs.settings["tokens"] <= report["context"]:
                yield from runs.points(first, prompt, first.name, prompt=prompt)
    elif kind == "size":
        for build in builds:
            dense = report_of(build)["bytes_per_token"]["dense"]
            for point in runs.points(build, dense, build.name):
                yield {**point, "line": point["line"].rpartition(" ")[2], "build": build.name}
    elif kind == "draft" and "lossless" in report["modes"]:
        for length in DRAFTS[:: 2 if quick else 1]:
            found = runs.points(first, length, first.name, draft_length=length)
            yield from (point for point in found if not point["line"].endswith(" bounded"))
    elif kind == "k":
        for k in WIDTHS[:: 2 if quick else 1]:
            yield from runs.points(gated_build(k), k, "tiny-gpt2 gated")


def text_of(kind: str, points: list[Json]) -> str:
    lines = [kind]
    for point in points:
        if point["rate"] is None:
            lines.append(f"  {point['x']:>12}  {point['line']}: {point['reason']}")
            continue
        ratio = point["ratio"]
        beside = "" if ratio is None else f", {ratio['median']:.2f} x exact"
        lines.append(
            f"  {point['x']:>12}  {point['line']}: {point['rate']['median']:.1f} tokens/s{beside}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("builds", nargs="+", type=Path, metavar="BUILD", help="gsic build folder")
    parser.add_argument("--only", default=",".join(KINDS), help=f"of {','.join(KINDS)}")
    parser.add_argument("--repeat", type=int, default=5, help="prompts of each measurement (5)")
    parser.add_argument("--tokens", type=int, default=64, help="decoded behind each (64)")
    parser.add_argument("--quick", action="store_true", help="2 of 16 tokens, and fewer points")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--out", type=Path, default=CACHE / "result", help="where results go")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    options = parser.parse_args()
    kinds = options.only.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--only: {', '.join(sorted(unknown))}: not one of {', '.join(KINDS)}")
    builds = [build.resolve() for build in options.builds]
    for build in builds:
        if not (build / "report.json").exists():
            parser.error(f"{build}: there is no gsic build here")
    if not environment.inside():
        return environment.run_inside(CACHE / "plots", [HERE / "growth-requirements.txt"])
    import growth_chart

    repeat, tokens = (2, 16) if options.quick else (options.repeat, options.tokens)
    settings = {"repeat": repeat, "tokens": tokens}
    runs = Measurements(options.out / "growth-runs", settings, options.fresh)
    found: dict[str, list[Json]] = {}
    for kind in kinds:
        try:
            found[kind] = list(points_of(kind, builds, runs, options.quick))
        except Stopped as stop:
            say(f"{kind}: {stop}")
            continue
        if any(point["rate"] for point in found[kind]):
            growth_chart.draw(kind, found[kind], options.out / f"growth-{kind}.svg")
    document = {**settings, "builds": [build.name for build in builds], "points": found}
    (options.out / "growth.json").write_text(
        json.dumps(document, indent=1) + "\n", encoding="utf-8"
    )
    said = [text_of(kind, points) for kind, points in found.items()]
    print(json.dumps(document) if options.json else "\n".join(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
