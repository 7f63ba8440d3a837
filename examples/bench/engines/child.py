"""One engine in a process of its own: a conversion, a generation's speed, or some logits.

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


def load(engine: Json, threads: int) -> Engine:
    """The engine that a job names; each imports its own library."""
    kind = engine["kind"]
    if kind == "gsic":
        from gsic_library import GsicLibrary

        return GsicLibrary(Path(engine["build"]), engine["mode"], threads, engine["vocabulary"])
    if kind == "llama.cpp":
        from llama import LlamaCpp

        return LlamaCpp(Path(engine["file"]), threads)
    if kind == "CTranslate2":
        from ctranslate import CTranslate2

        return CTranslate2(Path(engine["folder"]), Path(engine["source"]), engine["type"], threads)
    if kind == "ONNX Runtime":
        from onnx_model import OnnxModel

        return OnnxModel(Path(engine["folder"]), threads)
    from torch_model import TorchModel

    return TorchModel(Path(engine["source"]), engine["int8"], engine["compiled"], threads)


def convert(job: Json) -> None:
    """Writes an engine's own form of the model."""
    if job["kind"] == "CTranslate2":
        import ctranslate as engine
    else:
        import onnx_model as engine
    engine.convert(Path(job["source"]), Path(job["target"]), job["type"])


def speed(engine: Engine, prompt: list[int], tokens: int, warm: int) -> Json:
    """Time to the first token, and tokens a second from the first to the last."""
    engine.generate(prompt, warm, lambda: None)
    times: list[float] = []
    start = time.perf_counter()
    engine.generate(prompt, tokens, lambda: times.append(time.perf_counter()))
    if len(times) < 2:
        raise RuntimeError(f"only {len(times)} tokens came")
    return {
        "first_token_seconds": times[0] - start,
        "decode_tokens_per_second": (len(times) - 1) / (times[-1] - times[0]),
        "tokens": len(times),
    }


def main() -> int:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if "convert" in job:
        convert(job["convert"])
        print("{}")
        return 0
    engine = load(job["engine"], job["threads"])
    if "prompt" in job:
        print(json.dumps(speed(engine, job["prompt"], job["tokens"], job["warm"])))
        return 0
    for index, ids in enumerate(job["windows"]):
        np.save(Path(job["out"]) / f"{index}.npy", engine.logits(ids))
    print(json.dumps({"windows": len(job["windows"])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
