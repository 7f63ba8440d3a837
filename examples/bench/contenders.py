"""Who is compared: gsic's modes and the peers, each with how its model is made. Runs in the venv."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gsic
import ik_files
import llamacpp
import numpy as np
from bf16 import FOLDER
from download import sha256_of
from fetch import CACHE as SOURCES
from fetch import NAME
from importance import importance_of
from measure import WINDOW, WORK, Reference, Stop, build_name, score_texts
from pairing import Failed
from rows import source_file

Json = dict[str, Any]
HERE = Path(__file__).resolve().parent
CHILD = HERE / "engines" / "child.py"
LLAMA = ("BF16", "Q8_0", "Q6_K", "Q4_K_M", "Q4_1", "Q4_0")
IK_LLAMA = (
    "BF16",
    "BF16_R16",
    "Q8_0_R8",
    "Q6_0_R4",
    "Q5_0_R4",
    "Q4_0_R8",
    "IQ4_NL_R4",
    "IQ6_K",
    "IQ5_K",
    "IQ5_K_R4",
    "IQ4_K",
    "IQ4_K_R4",
    "IQ4_KS",
    "IQ4_KS_R4",
)
TIMEOUT = 900  # seconds of a child; PyTorch compiles in it
BASE = "gsic exact"


@dataclass(frozen=True)
class Contender:
    """A row. `prepare` makes what its engine loads, and returns the engine as child.py takes it."""

    name: str
    family: str
    prepare: Callable[[], Json]


def run_child(job: Json) -> Json:
    """What child.py prints for a job. Raises Failed with its last word."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        command = [sys.executable, str(CHILD), str(file)]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"took longer than {TIMEOUT} s") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise Failed(words[-1][:300])
    return json.loads(done.stdout.strip().splitlines()[-1])


def converted(kind: str, weights: str, models: Path) -> Path:
    """An engine's own form of the bf16 model, made unless it is there."""
    target = models / f"{kind.replace(' ', '-')}-{weights}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        settings = {"kind": kind, "source": str(FOLDER), "target": str(partial), "type": weights}
        run_child({"convert": settings})
        partial.rename(target)
    return target


def gsic_engine(build: Path, mode: str) -> Json:
    return {"kind": "gsic", "build": str(build), "mode": mode}


def identity(engine: Json) -> Json:
    """An engine with hashes in place of the paths of what it reads, to remember measurements by."""
    found = dict(engine)
    if "build" in engine:
        found["build"] = gsic.digest_of(Path(engine["build"]))
    if "file" in engine:
        found["file"] = sha256_of(Path(engine["file"]))
    return found


def gguf_build(name: str, file: Path, targets: str | None = None) -> Path:
    """gsic's exact build of a GGUF file, made with gsic as it is now."""
    return gsic.build_exact(build_name(name), file, WORK, targets)


def gsic_contenders(builds: list[Path], reference: Reference) -> Iterator[Contender]:
    """Exact mode, which is the base, and the other modes of every build of the same model."""
    yield Contender(BASE, "gsic", lambda: gsic_engine(reference.build, "exact"))
    for build in builds:
        if not (build / "report.json").exists():
            raise Stop(f"{build}: there is no gsic build here")
        report = gsic.report_of(build)
        if report["model"]["fingerprint"] != reference.fingerprint:
            raise Stop(f"{build}: built from another model")
        for mode in report["modes"]:
            if mode != "exact":
                name = f"gsic {mode}, {build.name}"
                yield Contender(name, "gsic", lambda b=build, m=mode: gsic_engine(b, m))


def llama_engine(file: Path) -> Json:
    return {"kind": "llama.cpp", "file": str(file)}


def ik_engine(file: Path, repack: bool = False) -> Json:
    """`IK_LLAMA_CPP_LIB_PATH` is another library than the wheel's."""
    ik_files.program()
    library = os.environ.get("IK_LLAMA_CPP_LIB_PATH", "")
    return {"kind": "ik_llama.cpp", "file": str(file), "repack": repack, "library": library}


def made(file: Path, make: Callable[[Path], None]) -> Path:
    """A file, made beside its place unless it is there."""
    if not file.exists():
        partial = file.with_suffix(".partial")
        make(partial)
        partial.replace(file)
    return file


def llama_contenders(reference: Reference) -> Iterator[Contender]:
    """llama.cpp's types, with an importance matrix where they take one, and the Q4_1 file."""

    def prepare(kind: str) -> Json:
        source, _ = source_file(reference)
        importance = importance_of(reference)
        file = source.with_name(f"{kind}-weighted.gguf")

        def quantise(partial: Path) -> None:
            llamacpp.quantise(source, partial, kind, importance=importance)

        return llama_engine(made(file, quantise))

    for kind in LLAMA:
        yield Contender(f"llama.cpp {kind}", "llama.cpp", lambda k=kind: prepare(k))
    yield Contender("llama.cpp, the Q4_1 file", "llama.cpp", lambda: llama_engine(SOURCES / NAME))


def ik_contenders(reference: Reference) -> Iterator[Contender]:
    """ik_llama.cpp's types from the same bf16 weights and importance matrix, and the Q4_1 file."""

    def prepare(kind: str) -> Json:
        ik_files.program()
        source, _ = source_file(reference)
        importance = importance_of(reference)
        folder = source.with_name(f"ik-{version(ik_files.PACKAGE)}")
        folder.mkdir(exist_ok=True)
        matrix = made(
            folder / "importance.dat", lambda file: ik_files.write_importance(file, importance)
        )

        def quantise(partial: Path) -> None:
            ik_files.quantise(source, partial, kind, matrix)

        return ik_engine(made(folder / f"{kind}.gguf", quantise))

    for kind in IK_LLAMA:
        yield Contender(f"ik_llama.cpp {kind}", "ik_llama.cpp", lambda k=kind: prepare(k))
    for name, repack in (("the Q4_1 file", False), ("the Q4_1 file, repacked", True)):
        yield Contender(
            f"ik_llama.cpp, {name}", "ik_llama.cpp", lambda r=repack: ik_engine(SOURCES / NAME, r)
        )


def library_contenders(models: Path) -> Iterator[Contender]:
    """CTranslate2, ONNX Runtime, and PyTorch."""
    for kind in ("float32", "bfloat16", "int8"):

        def translated(kind: str = kind) -> Json:
            folder = str(converted("CTranslate2", kind, models))
            return {"kind": "CTranslate2", "folder": folder, "source": str(FOLDER), "type": kind}

        yield Contender(f"CTranslate2 {kind}", "CTranslate2", translated)
    for kind in ("fp32", "bf16", "dynamic", "int8", "int4"):

        def exported(kind: str = kind) -> Json:
            return {
                "kind": "ONNX Runtime",
                "folder": str(converted("ONNX Runtime", kind, models)),
            }

        name = "int8 dynamic" if kind == "dynamic" else kind
        yield Contender(f"ONNX Runtime {name}", "ONNX Runtime", exported)
    for int8 in (False, True):
        for compiled in (False, True):
            name = f"PyTorch {'int8 (torchao)' if int8 else 'bf16'}{', compiled' * compiled}"
            engine = {"kind": "PyTorch", "source": str(FOLDER)}
            engine |= {"int8": int8, "compiled": compiled}
            yield Contender(name, "PyTorch", lambda engine=engine: engine)


def all_contenders(builds: list[Path], reference: Reference, models: Path) -> list[Contender]:
    """SmolLM2's rows."""

    def same_file() -> Json:
        return gsic_engine(gguf_build("q4_1-file", SOURCES / NAME, reference.targets), "exact")

    return [
        *gsic_contenders(builds, reference),
        Contender("gsic exact, the Q4_1 file", "gsic", same_file),
        *llama_contenders(reference),
        *ik_contenders(reference),
        *library_contenders(models),
    ]


def file_contenders(file: Path, builds: list[Path], reference: Reference) -> list[Contender]:
    """The rows of one GGUF file, which every engine reads as it is."""
    return [
        *gsic_contenders(builds, reference),
        Contender("llama.cpp", "llama.cpp", lambda: llama_engine(file)),
        Contender("ik_llama.cpp", "ik_llama.cpp", lambda: ik_engine(file)),
        Contender("ik_llama.cpp, repacked", "ik_llama.cpp", lambda: ik_engine(file, True)),
    ]


def quality(engine: Json, threads: int, reference: Reference) -> Json:
    """KL to the bf16 model and the like, of the engine's own logits, by text."""
    windows = [window for text in reference.texts for window in text.windows()]
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        job = {"engine": engine, "threads": threads, "context": WINDOW}
        run_child({**job, "windows": windows, "out": folder})
        files = iter(range(len(windows)))
        return score_texts(reference, lambda _ids: np.load(Path(folder) / f"{next(files)}.npy"))
