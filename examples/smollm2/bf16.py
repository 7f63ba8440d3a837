"""Makes a bf16 Hugging Face model of SmolLM2 in cache/bf16/, out of the GGUF file.

    python3 examples/smollm2/bf16.py

The GGUF's weights lie on the grid of its 4-bit blocks, which would flatter any quantiser. So every
channel that allows it is rescaled by a random factor exp(U(-0.2, 0.2)) that leaves the function as
it is (see weights.rescale), and then the weights are rounded to bf16. Same file, same seed: same
bytes. reference.py checks that the function is unchanged before rounding.

Run with any Python 3.9 or later: if numpy or gguf is missing, it makes cache/venv with both and
runs itself there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from download import sha256_of
from fetch import CACHE, NAME, SHA256

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = CACHE / "bf16"
RECORD = "made-from.json"
SEED = 2605
SPREAD = 0.2
PACKAGES = ("numpy", "gguf")


def run_in_venv() -> int:
    """Makes cache/venv with the packages, and runs this script with its Python."""
    venv = CACHE / "venv"
    python = venv / "bin" / "python"
    if os.environ.get("GSIC_IN_VENV"):
        print(f"bf16: {venv} is incomplete; delete it and run again", file=sys.stderr)
        return 4
    install = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES]
    try:
        if not python.exists():
            print(f"bf16: making {venv} with {' and '.join(PACKAGES)}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            subprocess.run(install, check=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(venv, ignore_errors=True)
        print(
            "bf16: needs numpy and gguf; install them and run again:\n"
            f"    {sys.executable} -m pip install {' '.join(PACKAGES)}",
            file=sys.stderr,
        )
        return 4
    command = [str(python), __file__, *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, "GSIC_IN_VENV": "1"}).returncode


def to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of float32 values, rounded to nearest, ties to even. No NaNs."""
    import numpy as np

    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path: Path, tensors: dict[str, NDArray[np.float32]]) -> str:
    """Writes the tensors in bf16, sorted by name; returns the file's SHA-256."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(tensors):
        start, end = end, end + 2 * tensors[name].size
        shape = list(tensors[name].shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        parts = [len(text).to_bytes(8, "little"), text]
        for part in [*parts, *(to_bf16(tensors[name]).tobytes() for name in sorted(tensors))]:
            file.write(part)
            digest.update(part)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def made_from() -> dict[str, Any]:
    """What the folder depends on: if the record in the folder says the same, it is up to date."""
    scripts = [Path(__file__), Path(__file__).with_name("weights.py")]
    return {
        "gguf": SHA256,
        "seed": SEED,
        "spread": SPREAD,
        "scripts": {script.name: sha256_of(script) for script in scripts},
    }


def is_current() -> bool:
    """Whether the folder is there, complete, and made by these scripts from this file."""
    try:
        record = json.loads((FOLDER / RECORD).read_text(encoding="utf-8"))
        whole = (FOLDER / "model.safetensors").stat().st_size == record.pop("size")
    except (OSError, ValueError, KeyError):
        return False
    record.pop("sha256", None)
    return whole and record == made_from()


def make() -> None:
    """Writes the folder beside its place, and then puts it there."""
    import weights

    partial = CACHE / "bf16.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model = weights.read_model(CACHE / NAME)
    tensors = weights.rescale(model, SEED, SPREAD)
    digest = write_safetensors(partial / "model.safetensors", tensors)
    write_json(partial / "config.json", model.config)
    write_json(partial / "tokenizer.json", model.tokenizer)
    write_json(partial / "tokenizer_config.json", model.tokenizer_config)
    size = (partial / "model.safetensors").stat().st_size
    write_json(partial / RECORD, {**made_from(), "size": size, "sha256": digest})
    shutil.rmtree(FOLDER, ignore_errors=True)
    partial.rename(FOLDER)
    print(f"bf16: wrote {FOLDER}: {len(tensors)} tensors, {size} bytes, SHA-256 {digest}")


def main() -> int:
    if is_current():
        print(f"bf16: {FOLDER} is up to date")
        return 0
    if not (CACHE / NAME).exists() or sha256_of(CACHE / NAME) != SHA256:
        print(f"bf16: {CACHE / NAME} is missing or damaged; run fetch.py first", file=sys.stderr)
        return 4
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        return run_in_venv()
    make()
    return 0


if __name__ == "__main__":
    sys.exit(main())
