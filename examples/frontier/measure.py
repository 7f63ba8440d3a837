"""What everything is compared with: the texts, the bf16 model's logits on them, and scores."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

import gsic
import scores
from bf16 import FOLDER, RECORD
from fetch import CACHE

WORK = Path(__file__).resolve().parent / "cache" / "work"
TEXTS = {"manual": "heldout.txt", "licences": "heldout-2.txt"}
WINDOW = 512  # tokens
Json = dict[str, Any]


class Stop(Exception):
    """Something that the person running this has to know about, with what to do next."""


@dataclass(frozen=True)
class Text:
    """The part of a held-out text that is measured: [tokens] ids, and the same as a file."""

    name: str
    file: Path
    ids: list[int]

    def windows(self) -> list[list[int]]:
        cut = [self.ids[at : at + WINDOW] for at in range(0, len(self.ids), WINDOW)]
        return [window for window in cut if len(window) > 1]


@dataclass(frozen=True)
class Reference:
    """gsic's exact logits of the bf16 model, by text and window, on disk."""

    build: Path
    texts: list[Text]
    folder: Path
    fingerprint: str
    dense_bytes: int
    targets: str | None  # as `gsic build --target` takes them; None: this machine's

    def file(self, text: Text, index: int) -> Path:
        return self.folder / f"{text.name}-{index}.safetensors"

    def key(self) -> Json:
        return {"model": self.fingerprint, "ids": {text.name: text.ids for text in self.texts}}


def build_name(name: str) -> str:
    """The name of a build of this machine; with GSIC_CPU, which hides instruction sets, it has its own."""
    cpu = os.environ.get("GSIC_CPU")
    return f"{name}-{cpu}" if cpu else name


def second_half(name: str, file: Path, tokenizer: Tokenizer, count: int) -> Text:
    """The first `count` tokens of the second half of a text; planners may look at the first half.

    Starts at the first token from which the text, written to a file, has the same tokens again.
    """
    ids = tokenizer.encode(file.read_text(encoding="utf-8")).ids
    for start in range(len(ids) // 2, len(ids) - count + 1):
        part = ids[start : start + count]
        text = tokenizer.decode(part, skip_special_tokens=False)
        if tokenizer.encode(text).ids == part:
            path = WORK / f"{name}.txt"
            path.write_text(text, encoding="utf-8")
            return Text(name, path, part)
    raise Stop(f"{file}: its second half has fewer than {count} tokens; lower --tokens")


def make_reference(count: int, targets: str | None = None) -> Reference:
    """Builds the bf16 model with gsic as it is now, and evaluates it on the texts unless that was done."""
    if not (FOLDER / RECORD).exists() or not gsic.MAIN.exists():
        raise Stop("first run: npm run build && npm run fetch:smollm2")
    WORK.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    texts = [second_half(name, CACHE / file, tokenizer, count) for name, file in TEXTS.items()]
    build = gsic.build_exact(build_name("reference"), FOLDER, WORK, targets)
    return reference_of(build, texts, targets)


def reference_of(build: Path, texts: list[Text], targets: str | None) -> Reference:
    """The logits of a build's exact mode on these texts, evaluated unless they are there."""
    report = gsic.report_of(build)
    fingerprint, dense = report["model"]["fingerprint"], report["bytes_per_token"]["dense"]
    ids = json.dumps([fingerprint, [text.ids for text in texts]])
    folder = WORK / f"logits-{hashlib.sha256(ids.encode()).hexdigest()[:16]}"
    folder.mkdir(exist_ok=True)
    reference = Reference(build, texts, folder, fingerprint, dense, targets)
    for text in texts:
        for index, window in enumerate(text.windows()):
            file = reference.file(text, index)
            if not file.exists():
                values = gsic.logits(build, "exact", window, WORK / "window.safetensors")
                partial = file.with_suffix(".partial")
                save_file({"logits": values}, partial)
                partial.replace(file)
    return reference


Evaluate = Callable[[list[int]], scores.Floats]


def score_texts(reference: Reference, evaluate: Evaluate, first: int | None = None) -> Json:
    """Scores of a model, given its logits by window, on the first windows of each text, or all."""
    result: Json = {}
    for text in reference.texts:
        found: list[scores.Scores] = []
        for index, window in enumerate(text.windows()[:first]):
            expected = load_file(reference.file(text, index))["logits"]
            found.append(scores.score(expected, evaluate(window), window))
        by_window = [float(one.kl.mean()) for one in found]
        result[text.name] = {**scores.summary(found), "kl_by_window": by_window}
    return result


def remembered(key: Json, make: Callable[[], Json]) -> Json:
    """What was measured before under the same key, or what is measured now."""
    text = json.dumps(key, sort_keys=True)
    file = WORK / "rows" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(make()), encoding="utf-8")
        partial.replace(file)
    return json.loads(file.read_text(encoding="utf-8"))


def exact_scores(name: str, source: Path, reference: Reference) -> tuple[int, Json]:
    """Other weights in gsic's exact mode, so that nothing but the weights differs.

    Returns the bytes of linears that gsic counts, and the scores by text.
    """
    folder = WORK / "build"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    build = gsic.build_exact(name, source, folder, reference.targets)
    counted = gsic.report_of(build)["bytes_per_token"]["dense"]
    texts = score_texts(
        reference, lambda ids: gsic.logits(build, "exact", ids, WORK / "window.safetensors")
    )
    shutil.rmtree(folder)
    return counted, texts


def describe(reference: Reference) -> Json:
    """What the figures are of: what has to agree for figures of two machines to be compared."""
    digests = {
        text.name: {
            "file": TEXTS[text.name],
            "tokens": len(text.ids),
            "sha256": hashlib.sha256(text.file.read_bytes()).hexdigest(),
        }
        for text in reference.texts
    }
    packages = ("gguf", "llama-cpp-python", "numpy", "tokenizers")
    return {
        "model": {"fingerprint": reference.fingerprint, "dense_bytes": reference.dense_bytes},
        "window": WINDOW,
        "texts": digests,
        "packages": {name: version(name) for name in packages},
    }
