"""ik_llama.cpp's own GGUF files, made by the quantiser of its wheel. Needs numpy and the wheel."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pairing import Failed

Floats = NDArray[np.float32]
PACKAGE = "ik-llama-cpp-python"


def program() -> Path:
    """llama-quantize of the wheel. Raises Failed where the wheel is not installed."""
    try:
        from ik_llama_cpp import find_quantize_bin
    except ImportError as error:
        raise Failed(f"{PACKAGE} has no wheel for this machine and Python") from error
    found = find_quantize_bin()
    if found is None:
        raise Failed(f"{PACKAGE} came without its llama-quantize")
    return found


def write_importance(path: Path, importance: Mapping[str, Floats]) -> None:
    """E[x_i^2] of matrices' inputs, by llama.cpp's names, as llama-imatrix's binary file.

    A count; and for each matrix its name, a number of calls that values are divided by, and values.
    """
    parts = [struct.pack("<i", len(importance))]
    for name, value in importance.items():
        raw = name.encode()
        parts += [struct.pack("<i", len(raw)), raw, struct.pack("<ii", 1, value.size)]
        parts.append(value.astype("<f4").tobytes())
    path.write_bytes(b"".join(parts))


def quantise(source: Path, target: Path, kind: str, importance: Path | None = None) -> None:
    """Writes a file in one of ik_llama.cpp's types. Raises Failed with the quantiser's last line."""
    options = [] if importance is None else ["--imatrix", str(importance)]
    command = [str(program()), *options, str(source), str(target), kind, "2"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        words = done.stdout.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise Failed(f"llama-quantize {kind}: {words[-1][:200]}")
