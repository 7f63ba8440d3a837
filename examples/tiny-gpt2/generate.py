"""Write the texts of tiny-gpt2: training, calibration and held-out stories.

    python3 generate.py            # training.txt (not kept in git), calibration.txt, heldout.txt

Needs the Python standard library only; the same seeds give the same bytes.
Each text comes from seeds of its own. A story is refused if it shares a run of
OVERLAP words with a text written before it, so what is held out was neither
trained on nor calibrated with. The compiler asks for more: no run of 13 tokens
in both calibration and held-out text, and a rare word is two or three tokens.
train.py, which knows the tokens, drops the few held-out stories that this costs.

In calibration.txt and heldout.txt a blank line stands between stories. In
training.txt a line holds a document: a few stories with a blank line (written
"\\n\\n") between them. The trainer puts <|endoftext|> between documents. So the
model knows both ways to go on after a story, and a text with blank lines is
what it was trained on.
"""

import argparse
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random

from stories.story import tell

FOLDER = Path(__file__).parent
SEEDS = {"calibration.txt": "calibration", "heldout.txt": "heldout", "training.txt": "training"}
OVERLAP = 13
"""Words and punctuation marks in a row that two texts may not share."""

_PIECE = re.compile(r"\w+|[^\w\s]+")


def stories(seed: str) -> Iterator[str]:
    """An endless row of stories; the seed and the number of a story fix its text."""
    return (tell(Random(f"{seed} {number}")) for number in count())


def runs(text: str) -> set[int]:
    """Hashes of all runs of OVERLAP words and punctuation marks of a text."""
    pieces = _PIECE.findall(text.lower())
    # hash() differs from one process to the next, but only whether two are equal matters.
    return {hash(" ".join(pieces[i:i + OVERLAP])) for i in range(len(pieces) - OVERLAP + 1)}


def unseen(seed: str, others: list[str], size: int) -> tuple[list[str], int]:
    """Stories of `size` characters in all that share no run with `others`; and how many were refused."""
    seen = runs(" ".join(others))
    told: list[str] = []
    total = refused = 0
    for story in stories(seed):
        if total >= size:
            return told, refused
        # With the story before it: the end of one story and the opening of the next are a run too.
        if seen.isdisjoint(runs(" ".join([*told[-1:], story]))):
            told.append(story)
            total += len(story) + 2
        else:
            refused += 1
    raise AssertionError("stories() does not end")


def documents(told: list[str], rng: Random) -> Iterator[str]:
    """Group stories into documents of one to five."""
    start = 0
    while start < len(told):
        end = start + rng.randint(1, 5)
        yield "\n\n".join(told[start:end])
        start = end


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the stories of tiny-gpt2.")
    parser.add_argument("--small", type=int, default=66_000, help="characters of calibration.txt and of heldout.txt")
    parser.add_argument("--training", type=int, default=20_000_000, help="characters of training.txt")
    arguments = parser.parse_args()

    texts: dict[str, list[str]] = {}
    for name, seed in SEEDS.items():
        size = arguments.training if name == "training.txt" else arguments.small
        others = [story for told in texts.values() for story in told]
        texts[name], refused = unseen(seed, others, size)
        print(f"{name}: {len(texts[name])} stories, {refused} refused")

    for name in ("calibration.txt", "heldout.txt"):
        (FOLDER / name).write_text("\n\n".join(texts[name]) + "\n", encoding="utf-8")
    lines = (document.replace("\n", "\\n") for document in documents(texts["training.txt"], Random("documents")))
    (FOLDER / "training.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
