"""ONNX Runtime: models by its own generator's builder, and that generator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime_genai as genai

from engine import Floats, OnToken

BUILDER = "onnxruntime_genai.models.builder"


def convert(source: Path, target: Path, kind: str) -> None:
    """Writes an ONNX model: fp32, bf16, int8 or int4 (by blocks), or `dynamic`, int8 from fp32."""
    precision = "fp32" if kind == "dynamic" else kind
    folder = target.with_name(f"{target.name}-fp32") if kind == "dynamic" else target
    command = [sys.executable, "-m", BUILDER, "-i", str(source), "-o", str(folder), "-p", precision]
    command += ["-e", "cpu", "-c", str(folder)]
    # Activations in int8 as well, which is the fast way on CPUs.
    command += ["--extra_options", "accuracy_level=4"] if kind in ("int8", "int4") else []
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout.strip().splitlines()[-1])
    if kind == "dynamic":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("model.onnx*"))
        quantize_dynamic(
            folder / "model.onnx",
            target / "model.onnx",
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
        )
        shutil.rmtree(folder)


class OnnxModel:
    """A converted model."""

    def __init__(self, folder: Path, threads: int) -> None:
        config = genai.Config(str(folder))
        options = {"intra_op_num_threads": threads}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self.model = genai.Model(config)

    def generator(self, least: int, most: int) -> genai.Generator:
        parameters = genai.GeneratorParams(self.model)
        parameters.set_search_options(do_sample=False, min_length=least, max_length=most)
        return genai.Generator(self.model, parameters)

    def generate(self, prompt: list[int], tokens: int, on_token: OnToken) -> None:
        length = len(prompt) + tokens
        generator = self.generator(length, length)
        generator.append_tokens(np.array([prompt], np.int32))
        for _ in range(tokens):
            generator.generate_next_token()
            on_token()

    def logits(self, ids: list[int]) -> Floats:
        generator = self.generator(0, len(ids) + 1)
        generator.append_tokens(np.array([ids], np.int32))
        return np.array(generator.get_output("logits"), np.float32)[0]
