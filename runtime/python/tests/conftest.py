"""Builds of this repository's small models, made once, by the compiler."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PLANS = {
    "exact": '[quality]\nmode = "exact"\n',
    "bounded": '[quality]\nmode = "bounded"\n[plan]\nforms = ["tiered"]\nbits = [5]\nrank = [8]\n',
}
SOURCES = {
    "tiny-gpt2": ROOT / "examples/tiny-gpt2/model",
    "llama": ROOT / "compiler/models/fixtures/llama-bf16",
    "phi3": ROOT / "compiler/models/fixtures/phi3-f32",
}


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """build(name, mode): the folder of a build of `SOURCES[name]`, whose default mode is `mode`."""
    made = {}

    def make(name: str, mode: str) -> Path:
        if (name, mode) not in made:
            folder = tmp_path_factory.mktemp(name)
            text = ROOT / "examples/tiny-gpt2"
            config = f'[model]\nname = "{name}"\nsource = "{SOURCES[name]}"\n{PLANS[mode]}[target]\nname = "cpu-portable"\n'
            if name == "tiny-gpt2":
                config += f'[calibration]\ntext = ["{text}/calibration.txt"]\ntokens = 2048\n'
            (folder / "model.toml").write_text(config)
            command = ["node", str(ROOT / "dist/compiler/main.js"), "build", "model.toml", "--out", "out"]
            subprocess.run(command, cwd=folder, check=True)
            made[name, mode] = folder / "out"
        return made[name, mode]

    return make


@pytest.fixture
def checkpoint():
    """checkpoint(name): the folder of a Hugging Face checkpoint."""
    return lambda name: SOURCES[name]
