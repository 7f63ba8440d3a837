"""What head = "screened" gains: one model, its head whole and screened, measured by turns.

    python3 examples/bench/screened.py SOURCE [--storage stored|packed] [--target TARGET] [--threads N]
        [--rounds N] [--tokens N] [--work DIR]

SOURCE is a folder with safetensors or a GGUF file. Builds both in exact mode, compares the greedy
text of sixteen prompts, and then decodes with both in one process: every measurement of the
screened build stands between two of the other one. A build for several targets (--target cpu) is
measured as GSIC_CPU says. Needs Python 3.9 and gsic (npm run build), nothing else. screened.md has
the figures.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

from packed import ROOT, Build, TokenCallback, in_pairs

HEADS = ("whole", "screened")
PROMPTS = (
    "Once upon a time there was a lighthouse keeper who",
    "The main difference between a virus and a bacterium is",
    "To bake a loaf of bread you need flour, water, salt and",
    "In 1969 two people walked on the surface of the Moon, and",
    "A function that returns the largest element of a list:",
    "Dear Sir or Madam, I am writing to you because",
    "The capital of Portugal is",
    "If a train leaves at noon and travels for three hours at",
    "Photosynthesis is the process by which plants",
    "She opened the door slowly, looked around, and",
    "The committee decided yesterday that the new bridge",
    "Water boils at a lower temperature on a mountain because",
    "My favourite thing about autumn is that",
    "The stock market fell sharply on Monday after",
    "There are three reasons why people learn a language. First,",
    "When the orchestra had finished, the audience",
)


def build(source: Path, head: str, storage: str, target: str | None, out: Path) -> None:
    """Builds the model with that head."""
    config = out.parent / f"{out.name}.toml"
    quoted = json.dumps(str(source.resolve()))
    lines = [f'name = "{out.name}"', f"source = {quoted}", f'storage = "{storage}"', f'head = "{head}"']
    config.write_text("\n".join(["[model]", *lines, "context = 2048", ""]))
    command = ["node", str(ROOT / "dist/compiler/main.js"), "build", str(config), "--out", str(out)]
    subprocess.run([*command, *([] if target is None else ["--target", target])], check=True)


def encode(one: Build, text: str) -> list[int]:
    """Tokens of a text."""
    data = text.encode()
    ids, count = (ctypes.c_int32 * len(data))(), ctypes.c_size_t(len(data))
    size = ctypes.c_size_t(len(data))
    one.check(one.library.gsic_encode(one.model, data, size, 0, ids, ctypes.byref(count)))
    return list(ids[: count.value])


def text(one: Build, prompt: list[int], tokens: int) -> list[int]:
    """The greedy tokens behind a prompt."""
    one.rewind()
    found: list[int] = []

    @TokenCallback
    def on_token(token: int, _text: bytes, _length: int, _user: object) -> int:
        found.append(token)
        return 0

    one.generate(prompt, tokens, on_token)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures a screened head beside a whole one.")
    parser.add_argument("source", type=Path)
    parser.add_argument("--storage", choices=("stored", "packed"), default="stored")
    parser.add_argument("--target", help="a target's name; default: this machine's best")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--work", type=Path, default=Path(__file__).resolve().parent / "cache/screened")
    parser.add_argument("--build-only", action="store_true", help="builds, and measures nothing")
    parser.add_argument("--built", action="store_true", help="measures what was built before")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    ending = "" if options.target is None else f"-{options.target}"
    folders = [options.work / f"{options.source.stem}-{options.storage}-{head}{ending}" for head in HEADS]
    for head, folder in zip(HEADS, folders):
        if not options.built:
            build(options.source, head, options.storage, options.target, folder)
    if options.build_only:
        return 0
    whole, screened = (Build(folder, options.threads, 0) for folder in folders)
    prompts = [encode(whole, prompt) for prompt in PROMPTS]
    for prompt in prompts:
        if text(whole, prompt, options.tokens) != text(screened, prompt, options.tokens):
            print("screened: another text", file=sys.stderr)
            return 1

    def decode(one: Build) -> float:
        """Seconds a token, over three prompts."""
        return sum(one.decode(prompt, options.tokens) for prompt in prompts[:3]) / 3

    result = {
        "target": json.loads((folders[0] / "report.json").read_text())["targets"],
        "texts_alike": len(PROMPTS),
        "bundle_bytes": [os.path.getsize(one.bundle) for one in (whole, screened)],
        "decode": in_pairs(lambda: decode(whole), lambda: decode(screened), options.rounds),
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
