"""CTranslate2: conversion of the Hugging Face folder, and its generator."""

from __future__ import annotations

from pathlib import Path

import ctranslate2
import numpy as np
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer

from engine import Floats, OnToken


def convert(source: Path, target: Path, kind: str) -> None:
    """Writes a CTranslate2 model whose weights are stored as `kind`."""
    TransformersConverter(str(source)).convert(str(target), quantization=kind)


class CTranslate2:
    """A converted model, computed in the type that it is asked for."""

    def __init__(self, folder: Path, source: Path, kind: str, threads: int) -> None:
        self.tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
        self.generator = ctranslate2.Generator(
            str(folder), device="cpu", compute_type=kind, inter_threads=1, intra_threads=threads
        )

    def generate(self, prompt: list[int], tokens: int, on_token: OnToken) -> None:
        def callback(_step: ctranslate2.GenerationStepResult) -> bool:
            on_token()
            return False

        self.generator.generate_batch(
            [[self.tokenizer.id_to_token(one) for one in prompt]],
            max_length=tokens,
            min_length=tokens,
            include_prompt_in_result=False,
            callback=callback,
        )

    def logits(self, ids: list[int]) -> Floats:
        return np.array(self.generator.forward_batch([ids]), np.float32)[0]
