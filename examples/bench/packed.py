"""What storage = "packed" gains: one model, its weights stored and packed, measured by turns.

    python3 examples/bench/packed.py SOURCE [--target TARGET] [--threads N] [--rounds N] [--tokens N] [--work DIR]

SOURCE is a folder with safetensors in bf16. Builds both in exact mode, compares their logits bit by bit
in passes of 1 to 16 columns, and then decodes with both in one process: every measurement of the packed build stands
between two of the stored one. A build for several targets (--target cpu) is measured as GSIC_CPU says. Needs Python 3.9 and gsic (npm run build), nothing else. packed.md has the figures.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "bench" / "engines"))
from gsic_header import header  # noqa: E402

STORAGES = ("stored", "packed")
PROMPT = 16

TokenCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int32, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p
)


class Build:
    """A build through the C interface of its library (gsic.h)."""

    def __init__(self, folder: Path, threads: int, vocabulary: int) -> None:
        (library,) = folder.glob("lib*.so")
        (self.bundle,) = folder.glob("*.gsi")
        self.library = ctypes.CDLL(str(library))
        self.library.gsic_last_error.restype = ctypes.c_char_p
        self.vocabulary = vocabulary
        self.model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        options = header.OpenOptions(threads=threads)
        path = str(self.bundle).encode()
        self.check(self.library.gsic_open(path, ctypes.byref(options), ctypes.byref(self.model)))
        self.check(self.library.gsic_session_open(self.model, b"exact", ctypes.byref(self.session)))

    def check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(self.library.gsic_last_error().decode())

    def rewind(self) -> None:
        self.check(self.library.gsic_session_rewind(self.session, ctypes.c_size_t(0)))

    def logits(self, ids: list[int], columns: int) -> bytes:
        """Bits of the logits of all tokens, in passes of so many."""
        self.rewind()
        parts = []
        for begin in range(0, len(ids), columns):
            part = ids[begin : begin + columns]
            values = (ctypes.c_float * (len(part) * self.vocabulary))()
            self.check(
                self.library.gsic_evaluate(
                    self.session,
                    (ctypes.c_int32 * len(part))(*part),
                    ctypes.c_size_t(len(part)),
                    values,
                    ctypes.c_size_t(len(part)),
                )
            )
            parts.append(bytes(values))
        return b"".join(parts)

    def decode(self, prompt: list[int], tokens: int) -> float:
        """Seconds of greedy tokens behind a prompt: all after the first."""
        self.rewind()
        times: list[float] = []

        @TokenCallback
        def on_token(_id: int, _text: bytes, _length: int, _user: object) -> int:
            times.append(time.perf_counter())
            return 0

        self.generate(prompt, tokens, on_token)
        return (times[-1] - times[0]) / (len(times) - 1)

    def generate(self, prompt: list[int], tokens: int, on_token: Any) -> None:
        produced = ctypes.c_size_t()
        self.check(
            self.library.gsic_generate(
                self.session,
                (ctypes.c_int32 * len(prompt))(*prompt),
                ctypes.c_size_t(len(prompt)),
                ctypes.c_size_t(tokens),
                None,
                on_token,
                None,
                None,
                ctypes.byref(produced),
            )
        )

    def passes(self, ids: list[int], columns: int, count: int) -> float:
        """Seconds of a pass of so many columns, without logits."""
        self.rewind()
        part = (ctypes.c_int32 * columns)(*ids[:columns])
        begin = time.perf_counter()
        for _ in range(count):
            status = self.library.gsic_evaluate(
                self.session, part, ctypes.c_size_t(columns), None, ctypes.c_size_t(0)
            )
            self.check(status)
        return (time.perf_counter() - begin) / count


def folder_of(source: str, variant: str, target: str | None, work: Path) -> Path:
    return work / f"{source}-{variant}{'' if target is None else '-' + target}"


def build(source: Path, settings: dict[str, str | int], target: str | None, out: Path) -> None:
    """Builds the model with these settings of [model]."""
    fields = {"name": out.name, "source": str(source.resolve()), **settings}
    config = out.parent / f"{out.name}.toml"
    config.write_text("[model]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items()))
    command = ["node", str(ROOT / "dist/compiler/main.js"), "build", str(config), "--out", str(out)]
    subprocess.run([*command, *([] if target is None else ["--target", target])], check=True)


def in_pairs(stored: Any, packed: Any, rounds: int) -> dict[str, float]:
    """How many times as fast the packed build is: of each round the mean of the two around it by its own."""
    before = stored()
    ratios, seconds = [], []
    for _ in range(rounds):
        own, after = packed(), stored()
        ratios.append((before + after) / 2 / own)
        seconds.append((before + after) / 2)
        before = after
    return {
        "median": median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "stored_seconds": median(seconds),
    }


def parser_of(description: str, work: str, tokens: int) -> argparse.ArgumentParser:
    """Arguments of a script that measures two builds of a model by turns."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("source", type=Path)
    parser.add_argument("--target", help="a target's name; default: this machine's best")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=tokens)
    parser.add_argument("--work", type=Path, default=Path(__file__).resolve().parent / "cache" / work)
    parser.add_argument("--build-only", action="store_true", help="builds, and measures nothing")
    parser.add_argument("--built", action="store_true", help="measures what was built before")
    return parser


def main() -> int:
    options = parser_of("Measures packed weights beside stored ones.", "packed", 48).parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    folders = []
    for storage in STORAGES:
        folder = folder_of(options.source.name, storage, options.target, options.work)
        if not options.built:
            build(options.source, {"storage": storage}, options.target, folder)
        folders.append(folder)
    if options.build_only:
        return 0
    reports = [json.loads((folder / "report.json").read_text()) for folder in folders]
    vocabulary = json.loads((options.source / "config.json").read_text())["vocab_size"]
    stored, packed = (Build(folder, options.threads, vocabulary) for folder in folders)
    ids = [(7 + 7919 * i) % vocabulary for i in range(PROMPT)]
    for columns in range(1, 17):
        if stored.logits(ids, columns) != packed.logits(ids, columns):
            print(f"packed: other logits in passes of {columns}", file=sys.stderr)
            return 1
    files = sum(file.stat().st_size for file in options.source.glob("*.safetensors"))
    result: dict[str, Any] = {
        "target": reports[0]["targets"],
        "bytes_per_token": [report["bytes_per_token"]["dense"] for report in reports],
        "bundle_bytes": [os.path.getsize(one.bundle) for one in (stored, packed)],
        "file_bytes": files,
        "decode": in_pairs(
            lambda: stored.decode(ids, options.tokens),
            lambda: packed.decode(ids, options.tokens),
            options.rounds,
        ),
    }
    for columns in (1, 4, 16):
        count = max(4, options.tokens // (2 * columns))
        result[f"pass of {columns}"] = in_pairs(
            lambda columns=columns, count=count: stored.passes(ids, columns, count),
            lambda columns=columns, count=count: packed.passes(ids, columns, count),
            options.rounds,
        )
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
