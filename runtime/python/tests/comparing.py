"""What the native runtime computes by a build, and how near to it PyTorch comes."""

import json
import subprocess

import gsic
import torch
from transformers import AutoModelForCausalLM

EXACT = 1e-4
"""Largest difference in exact mode, of the largest logit."""
BOUNDED = 5e-4
"""The same at few bits, whose kernels round activations: rounding errors of the host's f32 can move one to the next value."""


def load(folder):
    """A checkpoint by transformers, in f32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def difference(found, expected):
    """The largest, of the largest expected value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def native_logits(build, ids, mode):
    """Logits [tokens, vocabulary] of the whole model by the native runtime."""
    model = gsic.Model(build)
    logits = torch.tensor(model.logits(ids, mode).tolist())
    model.close()
    return logits


def native_text(build, name, ids, count):
    """The ids that the native executable generates greedily, in the build's default mode."""
    prompt = ",".join(str(id) for id in ids)
    command = [build / name, "--ids", prompt, "--tokens", str(count), "--temperature", "0", "--json"]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return json.loads(made.stdout)["ids"]
