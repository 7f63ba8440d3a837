"""Isolated Python environments of the examples that measure, with llama.cpp compiled once for all.

Needs only the standard library, pip, and a C++ compiler and cmake for llama.cpp.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

LLAMA = "llama-cpp-python"
# The library alone, for this very CPU, so that llama.cpp is as fast as it can be.
CMAKE = (
    "-DGGML_NATIVE=ON -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF"
    " -DLLAMA_BUILD_SERVER=OFF -DLLAVA_BUILD=OFF"
)
NEEDS = "needs pip, and a C++ compiler and cmake for llama.cpp; install them and run again"
INSIDE = "GSIC_IN_VENV"


def cpu_features() -> str:
    """What native code depends on: the CPU's features as the system lists them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), "")


def wheel_folder(requirement: str) -> Path:
    """Where llama.cpp's wheel of this version lies, for this CPU, in gsic's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("GSIC_CACHE") or Path(base) / "gsic")
    key = "\n".join([requirement, CMAKE, platform.machine(), cpu_features()])
    return cache / "wheels" / hashlib.sha256(key.encode()).hexdigest()[:16]


def compile_llama(python: Path, requirement: str) -> Path:
    """Compiles llama.cpp's wheel unless it is there; returns its folder."""
    folder = wheel_folder(requirement)
    if not list(folder.glob("*.whl")):
        print(f"compiling {requirement} into {folder}: up to 25 minutes, once", flush=True)
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        flags = " ".join(filter(None, [CMAKE, os.environ.get("CMAKE_ARGS")]))
        command = ["-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(partial), requirement]
        subprocess.run([str(python), *command], check=True, env={**os.environ, "CMAKE_ARGS": flags})
        folder.mkdir(parents=True, exist_ok=True)
        for wheel in partial.glob("*.whl"):
            wheel.replace(folder / wheel.name)
        partial.rmdir()
    return folder


def make(venv: Path, requirements: list[Path]) -> Path:
    """An environment of these files' packages, made unless it is there; returns its Python.

    Raises subprocess.CalledProcessError where a command fails.
    """
    python, ready = venv / "bin" / "python", venv / "requirements.txt"
    lines = [line for file in requirements for line in file.read_text().splitlines()]
    text = "\n".join(lines) + "\n"
    if ready.exists() and ready.read_text() == text:
        return python
    print(f"making {venv}", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    links: list[str] = []
    for requirement in lines:
        if requirement.startswith(LLAMA):
            folder = compile_llama(python, requirement)
            links = ["--find-links", str(folder), "--only-binary", LLAMA]
    files = [word for file in requirements for word in ("-r", str(file))]
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *links, *files], check=True)
    ready.write_text(text)
    return python


def inside() -> bool:
    """Whether this script was started by run_inside."""
    return bool(os.environ.get(INSIDE))


def run_inside(venv: Path, requirements: list[Path]) -> int:
    """Makes the environment, and runs this script again with its Python; returns its exit code."""
    name = Path(sys.argv[0]).stem
    try:
        python = make(venv, requirements)
    except subprocess.CalledProcessError as error:
        print(f"{name}: {error}\n{name}: {NEEDS}", file=sys.stderr)
        return 4
    command = [str(python), *sys.argv]
    return subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode
