"""gsic's command line, as this folder needs it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "dist" / "compiler" / "main.js"
Json = dict[str, Any]


class GsicFailed(Exception):
    """A command failed; gsic has said why on standard error."""


def run(*arguments: str) -> str:
    """Runs gsic; returns its standard output. Progress and errors go to standard error."""
    command = ["node", str(MAIN), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise GsicFailed(f"gsic {' '.join(arguments[:2])} ended with {done.returncode}")
    return done.stdout


def build_exact(name: str, source: Path, folder: Path, targets: str | None) -> Path:
    """Builds a model whose weights are multiplied as they are stored; returns the build folder."""
    toml = folder / f"{name}.toml"
    model = f'[model]\nname = "{name}"\nsource = {json.dumps(str(source))}\n'
    toml.write_text(f'{model}\n[quality]\nmode = "exact"\n', encoding="utf-8")
    out = folder / name
    options = [] if targets is None else ["--target", targets]
    run("build", str(toml), "--out", str(out), "--json", *options)
    return out


def report_of(build: Path) -> Json:
    return json.loads((build / "report.json").read_text(encoding="utf-8"))


def digest_of(build: Path) -> str:
    """SHA-256 of the build's bundle: plan, weights and kernels."""
    (bundle,) = build.glob("*.gsi")
    return hashlib.sha256(bundle.read_bytes()).hexdigest()


def logits(build: Path, mode: str, ids: list[int], scratch: Path) -> NDArray[np.float32]:
    """Logits [tokens, vocabulary] of one sequence."""
    listed = ",".join(map(str, ids))
    run("logits", str(build), "--mode", mode, "--ids", listed, "--out", str(scratch))
    values = load_file(scratch)["logits"]
    scratch.unlink()
    return values


def evaluate(build: Path, mode: str, text: Path) -> Json:
    return json.loads(run("eval", str(build), "--mode", mode, "--text", str(text), "--json"))
