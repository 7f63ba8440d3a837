"""Builds of small models, made once, by the compiler of this repository."""

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
def checkpoint(tmp_path_factory):
    """checkpoint(name): the folder of a Hugging Face checkpoint of `SOURCES`, or "llama-64": random, heads of 64."""
    made = {}

    def find(name: str) -> Path:
        if name == "llama-64" and name not in made:
            import torch
            from transformers import LlamaConfig, LlamaForCausalLM

            sizes = {"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 192}
            torch.manual_seed(1)
            config = LlamaConfig(vocab_size=256, num_hidden_layers=2, initializer_range=0.1, **sizes)
            made[name] = tmp_path_factory.mktemp("checkpoint")
            LlamaForCausalLM(config).save_pretrained(made[name])
        return made[name] if name in made else SOURCES[name]

    return find


@pytest.fixture(scope="session")
def build(tmp_path_factory, checkpoint):
    """build(name, mode, target): the folder of a build of `checkpoint(name)`, whose default mode is `mode`."""
    made = {}

    def make(name: str, mode: str, target: str = "cpu-portable") -> Path:
        if (name, mode, target) not in made:
            folder = tmp_path_factory.mktemp(name)
            text = ROOT / "examples/tiny-gpt2"
            config = f'[model]\nname = "{name}"\nsource = "{checkpoint(name)}"\n{PLANS[mode]}[target]\nname = "{target}"\n'
            if name == "tiny-gpt2":
                config += f'[calibration]\ntext = ["{text}/calibration.txt"]\ntokens = 2048\n'
            (folder / "model.toml").write_text(config)
            command = ["node", str(ROOT / "dist/compiler/main.js"), "build", "model.toml", "--out", "out"]
            subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL)
            made[name, mode, target] = folder / "out"
        return made[name, mode, target]

    return make
