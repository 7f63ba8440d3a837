"""Types that gsic chooses beside llama-quantize's mixtures, at the same bytes: KL to SmolLM2 in bf16.

    python3 examples/llama.cpp/compare.py [TYPE ...] [--tokens N]

TYPE is a mixture of llama-quantize: Q4_K_M, Q5_K_M and Q6_K where none is given. It gets an
importance matrix of gsic's calibration text, the diagonal of the second moments that gsic rounds by,
and what its file's tensors take is gsic's max_bytes. Both files run in gsic's exact mode on the second
halves of two held-out texts, so that nothing but the weights differs.

First: npm run build && npm run fetch:smollm2. Run with any Python 3.9 or later: it makes cache/venv,
for which it compiles llama.cpp (once; ../frontier and ../bench share it), and runs itself in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "frontier"), str(HERE.parent / "smollm2")]
import environment  # noqa: E402

CACHE = HERE / "cache"
MIXTURES = ["Q4_K_M", "Q5_K_M", "Q6_K"]
TOML = """[model]
name = "{name}"
source = {source}
[calibration]
text = {calibration}
tokens = 12288
[heldout]
text = {heldout}
tokens = 8192
[quality]
mode = "bounded"
max_bytes = {bytes}
[plan]
types = "gguf"
"""


def write_toml(name: str, size: int) -> Path:
    """A model.toml that asks for a file of so many bytes."""
    from bf16 import FOLDER
    from fetch import CACHE as TEXTS

    def quoted(*names: str) -> str:
        return json.dumps([str(TEXTS / file) for file in names])

    toml = CACHE / f"{name}.toml"
    text = TOML.format(
        name=name,
        source=json.dumps(str(FOLDER)),
        calibration=quoted("calibration.txt"),
        heldout=quoted("heldout.txt", "heldout-2.txt"),
        bytes=size,
    )
    toml.write_text(text, encoding="utf-8")
    return toml


def tensor_bytes(file: Path) -> int:
    from gguf import GGUFReader

    return sum(int(tensor.n_bytes) for tensor in GGUFReader(file).tensors)


def choose(mixture: str, size: int) -> Path:
    """The file of gsic's types of so many bytes."""
    import gsic

    name = f"chosen-{mixture}"
    build, out = CACHE / name, CACHE / f"{name}.gguf"
    gsic.run("build", str(write_toml(name, size)), "--out", str(build), "--json")
    gsic.run("export", str(build), "--gguf", str(out), "--json")
    return out


def compare(mixtures: list[str], tokens: int) -> None:
    import gsic
    import importance
    import llamacpp
    import measure

    CACHE.mkdir(exist_ok=True)
    reference = measure.make_reference(tokens)
    base = CACHE / "base.gguf"
    gsic.run("export", str(reference.build), "--gguf", str(base), "--type", "bf16", "--json")
    found = importance.importance_of(reference)
    print("| file | bytes | KL, manual | KL, licences |\n| --- | --- | --- | --- |")
    for mixture in mixtures:
        theirs = CACHE / f"{mixture}.gguf"
        llamacpp.quantise(base, theirs, mixture, importance=found)
        ours = choose(mixture, tensor_bytes(theirs))
        for name, file in ((mixture, theirs), (f"gsic, as {mixture}", ours)):
            _, texts = measure.exact_scores("file", file, reference)
            cells = [f"{tensor_bytes(file):,}"]
            for text in measure.TEXTS:
                kl = texts[text]["kl"]
                cells.append(f"{kl['value']:.4f} [{kl['low']:.4f}, {kl['high']:.4f}]")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mixtures", nargs="*", default=MIXTURES, metavar="TYPE")
    parser.add_argument("--tokens", type=int, default=2048, help="of each text (2048)")
    options = parser.parse_args()
    if not environment.inside():
        return environment.run_inside(CACHE / "venv", [HERE / "requirements.txt"])
    from gsic import GsicFailed
    from llamacpp import LlamaCppFailed
    from measure import Stop

    try:
        compare(options.mixtures, options.tokens)
    except (GsicFailed, LlamaCppFailed, Stop) as stop:
        print(f"compare: {stop}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
