"""What peers.py compares: SmolLM2's bf16 weights, or one GGUF file in every engine that reads it. Runs in the venv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import llama_cpp
from bf16 import FOLDER
from download import sha256_of
from fetch import CACHE as SOURCES
from measure import TEXTS, WINDOW, Reference, Stop, Text, make_reference, reference_of
from tokenizers import Tokenizer

from contenders import Contender, all_contenders, file_contenders, gguf_build

Ids = list[int]


@dataclass(frozen=True)
class Subject:
    """What KL is measured to, the rows, and what prompts are taken from: ids of each held-out text."""

    reference: Reference
    contenders: list[Contender]
    ids: list[Ids]


def smollm2(builds: list[Path], kl_tokens: int, cache: Path) -> Subject:
    reference = make_reference(kl_tokens)
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    ids: list[Ids] = []
    for name in TEXTS.values():
        whole = tokenizer.encode((SOURCES / name).read_text(encoding="utf-8")).ids
        ids.append(whole[len(whole) // 2 :])
    models = cache / reference.fingerprint[:16]
    models.mkdir(parents=True, exist_ok=True)
    return Subject(reference, all_contenders(builds, reference, models), ids)


def one_file(file: Path, builds: list[Path], kl_tokens: int) -> Subject:
    """The rows of a GGUF file; KL is to gsic's exact mode of it."""
    if not file.is_file():
        raise Stop(f"{file}: there is no such file")
    ids, start = encoded(file)
    texts = [
        Text(name, SOURCES / TEXTS[name], windowed(one[:kl_tokens], start))
        for name, one in zip(TEXTS, ids)
    ]
    build = gguf_build(f"file-{sha256_of(file)[:16]}", file)
    reference = reference_of(build, texts, None)
    rows = file_contenders(file, builds, reference)
    return Subject(reference, rows, [[*start, *one] for one in ids])


def encoded(file: Path) -> tuple[list[Ids], Ids]:
    """Tokens of the second halves of the held-out texts by llama.cpp, and what a text begins with."""
    model = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
    found: list[Ids] = []
    for name in TEXTS.values():
        text = (SOURCES / name).read_bytes()
        whole = model.tokenize(text, add_bos=False, special=False)
        found.append(whole[len(whole) // 2 :])
    vocabulary = llama_cpp.llama_model_get_vocab(model.model)
    start = [model.token_bos()] if llama_cpp.llama_vocab_get_add_bos(vocabulary) else []
    model.close()
    return found, start


def windowed(ids: Ids, start: Ids) -> Ids:
    """The same with `start` at the beginning of every window."""
    step = WINDOW - len(start)
    parts = [ids[at : at + step] for at in range(0, len(ids), step)]
    return [one for part in parts for one in (*start, *part)]
