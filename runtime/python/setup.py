"""Marks the package as one with compiled parts where they are there (compiler/testing/wheel puts them in)."""

from pathlib import Path

from setuptools import Distribution, setup

has_native = (Path(__file__).parent / "gsic/libgsic.so").exists()


class _Distribution(Distribution):
    def has_ext_modules(self) -> bool:
        return has_native


setup(
    distclass=_Distribution,
    # The compiled parts know nothing of Python: one wheel serves every version from 3.10 on.
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if has_native else {},
)
