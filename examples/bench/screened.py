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

import ctypes
import json
import os
import sys

from packed import STORAGES, Build, TokenCallback, build, folder_of, in_pairs, parser_of

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
    parser = parser_of("Measures a screened head beside a whole one.", "screened", 64)
    parser.add_argument("--storage", choices=STORAGES, default="stored")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    folders = []
    for head in HEADS:
        variant = f"{options.storage}-{head}"
        folder = folder_of(options.source.stem, variant, options.target, options.work)
        if not options.built:
            settings: dict[str, str | int] = {"storage": options.storage, "head": head, "context": 2048}
            build(options.source, settings, options.target, folder)
        folders.append(folder)
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
