"""The plug-in in the engine of vLLM on this machine's CPU: npm run test:vllm."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import gsic
import gsic.vllm
import pytest
import torch
from comparing import BOUNDED, EXACT, difference, load
from vllm.model_executor.layers.quantization import get_quantization_config

PROMPT = [5, 60, 7, 118, 90, 33, 4]


def generate(checkpoint, *, GSIC_BUILD="", **options):
    """What vllm_generate.py prints; RuntimeError with its output if it fails."""
    command = [sys.executable, Path(__file__).with_name("vllm_generate.py"), checkpoint]
    options = {"dtype": "float32", "quantization": "gsic", "enforce_eager": True, **options}
    done = subprocess.run(
        [*command, json.dumps(PROMPT), json.dumps(options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            # Lets the test's function, which lists layers, into the engine's process.
            "VLLM_ALLOW_INSECURE_SERIALIZATION": "1",
            "GSIC_BUILD": str(GSIC_BUILD),
        },
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-5000:] + done.stderr[-10000:])
    # vLLM writes its log there, too.
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


def logprobs(model, ids):
    """Of the ids behind the prompt, and the likeliest ids, by a model of transformers."""
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT + ids])).logits[0, len(PROMPT) - 1 : -1].float()
    return torch.log_softmax(logits, -1)[range(len(ids)), ids], logits.argmax(-1).tolist()


def by_transformers(folder, build, ids):
    """The same by the build's linears, with the head that vLLM keeps; and by the model as it is."""
    model = load(folder)
    dense, _ = logprobs(model, ids)
    head = model.lm_head
    patched = gsic.patch(model, build)
    model.lm_head = head
    by_gsic, likeliest = logprobs(model, ids)
    patched.restore()
    return by_gsic, likeliest, dense


def test_the_registry_has_the_method_once():
    gsic.vllm.register()
    gsic.vllm.register()
    assert get_quantization_config("gsic") is gsic.vllm.GsicConfig


def test_a_build_must_be_named(monkeypatch):
    monkeypatch.delenv("GSIC_BUILD", raising=False)
    with pytest.raises(ValueError, match="GSIC_BUILD"):
        gsic.vllm.GsicConfig()


def test_a_config_goes_to_another_process():
    config = pickle.loads(pickle.dumps(gsic.vllm.GsicConfig("a build", "exact")))
    assert (config.build, config.mode) == ("a build", "exact")


def test_fused_linears_in_an_engine_of_its_own_process(build, checkpoint):
    """Query, key and value are one layer in vLLM, and so are gate and up."""
    folder = build("llama-64", "exact")
    made = generate(checkpoint("llama-64"), GSIC_BUILD=folder)
    leaves = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
    assert made["layers"] == [f"model.layers.{i}.{leaf}" for i in (0, 1) for leaf in leaves]
    expected, likeliest, _ = by_transformers(checkpoint("llama-64"), folder, made["ids"])
    assert made["ids"] == likeliest
    assert difference(torch.tensor(made["logprobs"]), expected) <= EXACT


def test_biases_and_the_bounded_mode(build, checkpoint):
    folder = build("tiny-gpt2", "bounded")
    made = generate(checkpoint("tiny-gpt2"), GSIC_BUILD=folder)
    assert len(made["layers"]) == 16
    expected, likeliest, dense = by_transformers(checkpoint("tiny-gpt2"), folder, made["ids"])
    assert made["ids"] == likeliest
    assert difference(torch.tensor(made["logprobs"]), expected) <= 4 * BOUNDED
    assert difference(torch.tensor(made["logprobs"]), dense) > 16 * BOUNDED


def test_compiled_in_bfloat16_with_the_build_in_the_model_config(build, checkpoint):
    folder = build("llama-64", "exact")
    config = {"quant_method": "gsic", "build": str(folder), "mode": "exact"}
    options = {"quantization": None, "dtype": "bfloat16", "enforce_eager": False}
    made = generate(checkpoint("llama-64"), hf_overrides={"quantization_config": config}, **options)
    assert len(made["layers"]) == 8
    expected, _, _ = by_transformers(checkpoint("llama-64"), folder, made["ids"])
    assert difference(torch.tensor(made["logprobs"]), expected) <= 0.05


def test_another_model_is_refused(build, checkpoint):
    """Linears of the same names and other sizes."""
    with pytest.raises(RuntimeError, match="a layer of another shape than the build's"):
        generate(checkpoint("llama-64"), GSIC_BUILD=build("llama", "exact"))
