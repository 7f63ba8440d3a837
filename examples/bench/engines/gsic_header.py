"""`header`: the structures and callbacks of gsic.h, as gsic's own Python package has them.

They are loaded by their file, since ../../frontier has a module of the package's name.
"""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_FILE = Path(__file__).resolve().parents[3] / "runtime" / "python" / "gsic" / "header.py"
_spec = spec_from_file_location("gsic_package_header", _FILE)
assert _spec is not None and _spec.loader is not None
header = module_from_spec(_spec)
_spec.loader.exec_module(header)
