"""The rows of the table: llama.cpp's types, round to nearest, and gsic's plans."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path

import gsic
import llamacpp
import rounding
import tensors
from bf16 import FOLDER
from download import sha256_of
from fetch import CACHE, NAME
from measure import WORK, Json, Reference, Stop, exact_scores, remembered, score_texts

BITS = (8, 7, 6, 5, 4, 3)
GROUPS = (64, 32)
CHECKED = 1  # windows of each text that llama.cpp evaluates itself
SAME_MODEL = 1e-3  # nats: more between llama.cpp's f32 file and the reference is a wrong conversion
SAME_SCORES = 1e-3  # of a figure: more between this folder and `gsic eval` is a defect of one


def source_file(reference: Reference) -> tuple[Path, dict[str, tensors.Floats]]:
    """The bf16 model as a GGUF file in f32, which llama.cpp's quantiser takes, and its tensors."""
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    named = llamacpp.gguf_tensors(tensors.read_bf16(FOLDER), config)
    folder = WORK / f"gguf-{version('llama-cpp-python')}-{reference.fingerprint[:16]}"
    folder.mkdir(exist_ok=True)
    source = folder / "f32.gguf"
    if not source.exists():
        partial = source.with_suffix(".partial")
        llamacpp.write_gguf(partial, CACHE / NAME, named)
        partial.replace(source)
    if max(text["kl"]["value"] for text in own_scores(source, reference).values()) > SAME_MODEL:
        raise Stop(f"{source}: llama.cpp does not compute the bf16 model's function from it")
    return source, named


def llama_files(reference: Reference) -> Iterator[tuple[str, Path]]:
    """llama.cpp's types, each as it is by default, and some with the head in the same type."""
    source, named = source_file(reference)
    kinds = [*((kind, False) for kind in llamacpp.TYPES), *((kind, True) for kind in llamacpp.PURE)]
    for kind, pure in kinds:
        name = f"{kind} pure" if pure else kind
        file = source.with_name(f"{name.replace(' ', '-')}.gguf")
        if not file.exists():
            partial = file.with_suffix(".partial")
            llamacpp.quantise(source, partial, kind, pure)
            llamacpp.check_quantiser(partial, named)
            partial.replace(file)
        yield name, file


def llama_row(name: str, file: Path, reference: Reference) -> Json:
    """A GGUF file in gsic's exact mode, which reads its blocks as they are."""
    size, kinds = llamacpp.account(file)

    def make() -> Json:
        counted, texts = exact_scores("peer", file, reference)
        if counted != size:
            raise Stop(f"{file}: its linears have {size} bytes, and gsic counts {counted}")
        return {"texts": texts}

    found = remembered({**reference.key(), "gguf": sha256_of(file)}, make)
    return {"name": name, "family": "llama.cpp", "bytes": size, "types": kinds, **found}


def own_scores(file: Path, reference: Reference) -> Json:
    """Scores of llama.cpp's own logits, on the first windows: it rounds activations, too."""

    def make() -> Json:
        return score_texts(reference, lambda ids: llamacpp.logits(file, ids), CHECKED)

    return remembered({**reference.key(), "own": sha256_of(file), "windows": CHECKED}, make)


def llama_rows(reference: Reference) -> Iterator[Json]:
    """All of llama.cpp's files, each with the scores of its own logits beside."""
    for name, file in llama_files(reference):
        row = llama_row(name, file, reference)
        yield {**row, "llama_cpp": own_scores(file, reference)}


def rounding_rows(reference: Reference) -> Iterator[Json]:
    """Every number of bits with every group."""
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    weights = tensors.read_bf16(FOLDER)
    for group, bits in product(GROUPS, BITS):
        name = f"RTN {bits} bits, groups of {group}"
        size = rounding.linear_bytes(weights, config, bits, group)

        def make(bits: int = bits, group: int = group) -> Json:
            folder = WORK / "rounded"
            tensors.write_f32(folder, FOLDER, rounding.rounded(weights, config, bits, group))
            _, texts = exact_scores("rounded", folder, reference)
            shutil.rmtree(folder)
            return {"texts": texts}

        found = remembered(rounding_key(weights, config, bits, group, reference), make)
        yield {"name": name, "family": f"RTN, groups of {group}", "bytes": size, **found}


def rounding_key(
    weights: dict[str, tensors.Floats], config: Json, bits: int, group: int, reference: Reference
) -> Json:
    """What rounding does is in the hash by what it makes of the first layer."""
    digest = hashlib.sha256()
    for name in tensors.linears_of(config)[: len(tensors.LINEARS)]:
        digest.update(rounding.round_to_nearest(weights[name], bits, group).tobytes())
    return {**reference.key(), "rounded": digest.hexdigest(), "bits": bits, "group": group}


def plan_row(build: Path, reference: Reference) -> Json:
    """A gsic build: its scores here, and `gsic eval`'s, which must agree and which counts bytes."""
    if not (build / "report.json").exists():
        raise Stop(f"{build}: there is no gsic build here")
    report = gsic.report_of(build)
    if report["model"]["fingerprint"] != reference.fingerprint:
        raise Stop(f"{build}: built from another model than {FOLDER}")
    mode = report["mode"]

    def make() -> Json:
        scratch = WORK / "window.safetensors"
        texts = score_texts(reference, lambda ids: gsic.logits(build, mode, ids, scratch))
        for text in reference.texts:
            evaluation = gsic.evaluate(build, mode, text.file)
            check_agreement(build, texts[text.name], evaluation["heldout"])
            texts[text.name]["bytes"] = evaluation["bytes_per_token"]["plan_mean"]
        return {"texts": texts}

    found = remembered({**reference.key(), "bundle": gsic.digest_of(build), "mode": mode}, make)
    sizes = [text["bytes"] for text in found["texts"].values()]
    return {
        "name": build.name,
        "family": "gsic",
        "mode": mode,
        "bytes": sum(sizes) / len(sizes),
        **found,
    }


def check_agreement(build: Path, ours: Json, theirs: Json) -> None:
    """This folder's scores and `gsic eval`'s are of the same logits, by two programs."""
    if ours["tokens"] != theirs["tokens"]:
        raise Stop(
            f"{build}: `gsic eval` measured {theirs['tokens']} tokens instead of {ours['tokens']};"
            " raise heldout.tokens, or leave calibration.window at 512, in its model.toml"
        )
    for figure in ("perplexity", "perplexity_ratio", "kl", "top1"):
        for end in ("value", "low", "high"):
            a, b = ours[figure][end], theirs[figure][end]
            if abs(a - b) > SAME_SCORES * abs(b) + 1e-9:
                raise Stop(f"{build}: {figure}.{end} is {a} here and {b} by `gsic eval`")


def all_rows(builds: list[Path], reference: Reference) -> Iterator[Json]:
    """Every row, as it is measured, with its bytes as a share of the bf16 model's."""
    plans = (plan_row(build, reference) for build in builds)
    weights = reference.dense_bytes / 2
    for rows in (plans, llama_rows(reference), rounding_rows(reference)):
        for row in rows:
            yield {
                **row,
                "share": row["bytes"] / reference.dense_bytes,
                "bits_per_weight": 8 * row["bytes"] / weights,
            }
