"""One engine in a process of its own: a conversion, its speed, or some logits.

    python3 child.py JOB.json

Prints one JSON document. contenders.py makes the jobs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parents[1] / "frontier"), str(HERE.parents[1] / "smollm2")]

import numpy as np  # after the folders of this project are known
from engine import Engine

Json = dict[str, Any]
WARM = 16  # tokens of a prompt, and as many decoded, before anything is timed


def load(engine: Json, threads: int, context: int) -> Engine:
    """The engine that a job names, with room for `context` tokens; each imports its own library."""
    kind = engine["kind"]
    if kind == "gsic":
        from gsic_library import GsicLibrary

        return GsicLibrary(Path(engine["build"]), engine["mode"], threads)
    if kind == "llama.cpp":
        from llama import LlamaCpp

        return LlamaCpp(Path(engine["file"]), threads, context)
    if kind == "ik_llama.cpp":
        from ik_llama import IkLlama

        return IkLlama(Path(engine["file"]), threads, context, engine["repack"])
    if kind == "CTranslate2":
        from ctranslate import CTranslate2

        return CTranslate2(Path(engine["folder"]), Path(engine["source"]), engine["type"], threads)
    if kind == "ONNX Runtime":
        from onnx_model import OnnxModel

        return OnnxModel(Path(engine["folder"]), threads)
    from torch_model import TorchModel

    source = Path(engine["source"])
    return TorchModel(source, engine["int8"], engine["compiled"], threads, context)


def convert(job: Json) -> None:
    """Writes an engine's own form of the model."""
    if job["kind"] == "CTranslate2":
        import ctranslate as engine
    else:
        import onnx_model as engine
    engine.convert(Path(job["source"]), Path(job["target"]), job["type"])


def timed(engine: Engine, prompt: list[int], tokens: int) -> list[float]:
    """Seconds from the call to each token."""
    times: list[float] = []
    start = time.perf_counter()
    engine.generate(prompt, tokens, lambda: times.append(time.perf_counter() - start))
    if len(times) < min(2, tokens):
        raise RuntimeError(f"only {len(times)} tokens came")
    return times


def speed(engine: Engine, first: list[int], behind: list[int], tokens: int) -> Json:
    """Time to the first token of one prompt, and tokens a second from the first to the last of another."""
    engine.generate(behind[:WARM], WARM, lambda: None)
    (seconds, *_) = timed(engine, first, 1)
    times = timed(engine, behind, tokens)
    return {
        "first_token_seconds": seconds,
        "decode_tokens_per_second": (len(times) - 1) / (times[-1] - times[0]),
        "tokens": len(times),
    }


def main() -> int:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if "convert" in job:
        convert(job["convert"])
        print("{}")
        return 0
    engine = load(job["engine"], job["threads"], job["context"])
    if "speed" in job:
        print(json.dumps(speed(engine, **job["speed"])))
        return 0
    for index, ids in enumerate(job["windows"]):
        np.save(Path(job["out"]) / f"{index}.npy", engine.logits(ids))
    print(json.dumps({"windows": len(job["windows"])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
