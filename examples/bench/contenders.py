"""Who is compared: gsic's modes and the peers, each with how its model is made. Runs in the venv."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gsic
import llamacpp
import numpy as np
from bf16 import FOLDER
from fetch import CACHE as SOURCES
from fetch import NAME
from measure import WORK, Reference, score_texts
from pairing import Failed
from rows import llama_files

Json = dict[str, Any]
HERE = Path(__file__).resolve().parent
CHILD = HERE / "engines" / "child.py"
LLAMA = ("Q8_0", "Q6_K", "Q4_K_M", "Q4_1", "Q4_0")
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
    vocabulary = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    return {"kind": "gsic", "build": str(build), "mode": mode, "vocabulary": vocabulary}


def gguf_build(reference: Reference) -> Path:
    """gsic's build of the Q4_1 file, made unless it is there."""
    build = WORK / "q4_1-file"
    if not (build / "report.json").exists():
        gsic.build_exact(build.name, SOURCES / NAME, WORK, reference.targets)
    return build


def gsic_contenders(builds: list[Path], reference: Reference) -> Iterator[Contender]:
    """The exact mode of the bf16 model, which is the base, and the other modes of every build."""
    yield Contender(BASE, "gsic", lambda: gsic_engine(WORK / "reference", "exact"))
    for build in builds:
        for mode in gsic.report_of(build)["modes"]:
            if mode != "exact":
                name = f"gsic {mode}, {build.name}"
                yield Contender(name, "gsic", lambda b=build, m=mode: gsic_engine(b, m))
    file = "gsic exact, the Q4_1 file"
    yield Contender(file, "gsic", lambda: gsic_engine(gguf_build(reference), "exact"))


def llama_contenders(reference: Reference) -> Iterator[Contender]:
    files: dict[str, Path] = {}

    def prepare(kind: str) -> Json:
        if not files:
            files.update(llama_files(reference))
        if kind == "BF16" and kind not in files:
            folder = files["Q8_0"].parent
            files[kind] = folder / "BF16.gguf"
            if not files[kind].exists():
                partial = files[kind].with_suffix(".partial")
                llamacpp.quantise(folder / "f32.gguf", partial, kind, False)
                partial.replace(files[kind])
        return {"kind": "llama.cpp", "file": str(files[kind])}

    for kind in ("BF16", *LLAMA):
        yield Contender(f"llama.cpp {kind}", "llama.cpp", lambda k=kind: prepare(k))
    file = {"kind": "llama.cpp", "file": str(SOURCES / NAME)}
    yield Contender("llama.cpp, the Q4_1 file", "llama.cpp", lambda: file)


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
    return [
        *gsic_contenders(builds, reference),
        *llama_contenders(reference),
        *library_contenders(models),
    ]


def quality(engine: Json, threads: int, reference: Reference) -> Json:
    """KL to the bf16 model and the like, of the engine's own logits, by text."""
    windows = [window for text in reference.texts for window in text.windows()]
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        run_child({"engine": engine, "threads": threads, "windows": windows, "out": folder})
        files = iter(range(len(windows)))
        return score_texts(reference, lambda _ids: np.load(Path(folder) / f"{next(files)}.npy"))
