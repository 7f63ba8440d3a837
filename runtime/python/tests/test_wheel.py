"""The wheel as it was installed: its files, its tag, its types, and its use where there is no compiler."""

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import gsic
import gsic.native
import pytest
import torch
from comparing import EXACT, difference, load

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import sys
import gsic
build, checkpoint = sys.argv[1:]
with gsic.load(build) as model:
    text = model.generate("Once upon a time", max_tokens=12).text
assert "torch" not in sys.modules
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
patched = gsic.patch(model, build)
assert patched.left == []
ids = tokenizer("Once upon a time", return_tensors="pt").input_ids
made = model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)
assert tokenizer.decode(made[0, ids.shape[1]:]) == text, text
print(text)
"""


def test_it_was_installed_from_a_wheel_for_every_python_and_linux():
    package = distribution("gsic")
    tag = next(line for line in package.read_text("WHEEL").splitlines() if line.startswith("Tag:"))
    assert "cp310-abi3-manylinux_2_" in tag
    assert not Path(gsic.__file__).is_relative_to(ROOT / "runtime")
    names = {file.name for file in package.files}
    assert {"libgsic.so", "_torch.abi3.so", "py.typed", "LICENSE", "LICENSES.txt"} <= names
    points = {(point.group, point.name): point.value for point in package.entry_points}
    assert points["vllm.general_plugins", "gsic"] == "gsic.vllm:register"
    assert points["lm_eval.models", "gsic"] == "gsic.lm_eval:GsicLM"
    for name in ("libgsic.so", "_torch.abi3.so"):
        # Messages, and where libraries are looked for, name no folder of the machine that made it.
        assert str(ROOT).encode() not in Path(gsic.__file__).with_name(name).read_bytes()


def test_neither_a_compiler_nor_a_checkout_is_needed(build, checkpoint, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    arguments = [str(build("tiny-gpt2", "exact")), str(checkpoint("tiny-gpt2"))]
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=tmp_path,
        env={"PATH": "/nowhere", "HOME": str(home), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.returncode == 0 and len(made.stdout) > 20


def test_its_types_are_sound(tmp_path):
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "runtime/python/pyproject.toml")]
    made = subprocess.run([*command, "--cache-dir", str(tmp_path)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert made.returncode == 0, made.stdout


def test_an_older_pytorch_is_refused():
    gsic.native.require_torch("2.10.0+cpu")
    gsic.native.require_torch("3.0.1")
    with pytest.raises(ImportError, match="needs PyTorch 2.10 or later, and this is 2.9.1"):
        gsic.native.require_torch("2.9.1")


def test_kernels_of_hugging_face_load_it_beside_the_wheel(build, checkpoint):
    kernels = pytest.importorskip("kernels", reason="npm run test:python installs it")
    other = kernels.get_local_kernel(ROOT / "build/wheel/kernel", backend="cpu")
    assert other.patch is not gsic.patch
    ids = torch.arange(5, 30)[None]
    model = load(checkpoint("llama"))
    with torch.inference_mode():
        expected = model(ids).logits
        patched = [other.patch(model.model, build("llama", "exact")), gsic.patch(model, build("llama", "exact"))]
        assert len(patched[0].swapped) > 4 and len(patched[1].swapped) == 1
        assert 0 < difference(model(ids).logits, expected) <= EXACT
        for one in patched:
            one.restore()
        assert torch.equal(model(ids).logits, expected)
