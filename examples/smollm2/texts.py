"""Writes the calibration and held-out texts, from English text that the machine already has.

    python3 examples/smollm2/texts.py

    cache/calibration.txt   Python's manual, as pydoc carries it: the first topics by name
    cache/heldout.txt       the same manual, later topics
    cache/heldout-2.txt     another kind of text: licences from /usr/share/common-licenses (Debian)

No 6 words or punctuation marks in a row of either held-out text stand in the calibration text: a
held-out paragraph that repeats any is left out. That is stricter than the compiler, which refuses
runs of 13 tokens, and needs no tokenizer. The texts depend on the version of Python and of Debian, so
figures from two machines are comparable only if the printed hashes agree. Needs only the standard
library.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(__file__).resolve().parent / "cache"
LICENCES = Path("/usr/share/common-licenses")
LICENCE_NAMES = ("GFDL-1.3", "MPL-2.0", "Artistic", "CC0-1.0", "Apache-2.0", "GPL-3")

NGRAM = 6  # words or punctuation marks
SHORTEST = 60  # characters; shorter paragraphs are headings, which repeat
CALIBRATION_SIZE = 95_000  # characters
HELDOUT_SIZE = 42_000
TOPIC_SIZE = 6_000  # of one topic or licence, so that no subject dominates
LICENCE_SIZE = 9_000


def unwrapped(paragraph: str) -> str:
    """A paragraph of prose on one line; code and tables, which have indented lines, unchanged."""
    lines = paragraph.splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    lines = [line[margin:] for line in lines]
    if any(line.startswith(("  ", "\t", ">>>", "|", "+-")) for line in lines):
        return "\n".join(lines)
    return " ".join(line.strip() for line in lines)


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a text, without headings' underlines."""
    text = re.sub(r"^ *([*=\-~^])\1{3,} *$", "", text.expandtabs(4), flags=re.MULTILINE)
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        if len(part.strip()) >= SHORTEST:
            yield unwrapped(part)


def ngrams(text: str) -> set[tuple[str, ...]]:
    """Every run of 6 words or punctuation marks, in lower case."""
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    return {tuple(words[start : start + NGRAM]) for start in range(len(words) - NGRAM + 1)}


def take(sources: list[str], each: int, total: int, seen: set[tuple[str, ...]]) -> tuple[str, int]:
    """Paragraphs of the sources in order, about `total` characters and at most `each` of a source.

    Leaves out paragraphs that repeat a run of `seen` or of what was taken before; returns the
    text and how many sources it used up.
    """
    taken: list[str] = []
    own: set[tuple[str, ...]] = set()
    size = 0
    for index, source in enumerate(sources):
        if size >= total:
            return "\n\n".join(taken) + "\n", index
        used = 0
        for paragraph in paragraphs(source):
            grams = ngrams(paragraph)
            if used >= each or grams & seen or grams & own:
                continue
            taken.append(paragraph)
            own |= grams
            used += len(paragraph)
        size += used
    return "\n\n".join(taken) + "\n", len(sources)


def without_shared(text: str, seen: set[tuple[str, ...]]) -> str:
    """Drops paragraphs until no run of 6, across paragraphs too, is in `seen`."""
    parts = text.rstrip("\n").split("\n\n")
    index = 0
    while index < len(parts):
        window = "\n\n".join(parts[max(0, index - NGRAM) : index + 1])
        if ngrams(window) & seen:
            del parts[index]
        else:
            index += 1
    return "\n\n".join(parts) + "\n"


def write(name: str, text: str) -> None:
    """Writes one text into the cache, atomically."""
    path = CACHE / name
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    digest = hashlib.sha256(text.encode()).hexdigest()
    print(f"texts: {name}: {len(text.encode())} bytes, sha256 {digest[:16]}")


def write_texts() -> None:
    """Writes the three texts; without Debian's licences only the first two."""
    from pydoc_data.topics import topics

    CACHE.mkdir(parents=True, exist_ok=True)
    manual = [topics[name] for name in sorted(topics)]
    calibration, used = take(manual, TOPIC_SIZE, CALIBRATION_SIZE, set())
    seen = ngrams(calibration)
    heldout, _ = take(manual[used:], TOPIC_SIZE, HELDOUT_SIZE, seen)
    write("calibration.txt", calibration)
    write("heldout.txt", without_shared(heldout, seen))

    found = [LICENCES / name for name in LICENCE_NAMES if (LICENCES / name).is_file()]
    if not found:
        print(f"texts: no licences in {LICENCES}: heldout-2.txt is not written")
        return
    licences = [path.read_text(encoding="utf-8", errors="replace") for path in found]
    second, _ = take(licences, LICENCE_SIZE, HELDOUT_SIZE, seen)
    write("heldout-2.txt", without_shared(second, seen))


if __name__ == "__main__":
    write_texts()
