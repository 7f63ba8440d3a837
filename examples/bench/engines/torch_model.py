"""PyTorch and transformers, as they come and compiled; linears optionally in int8 by torchao."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, StaticCache

from engine import Floats, OnToken


class TorchModel:
    """A Hugging Face folder in bf16, its cache a fixed block, which compiled code needs."""

    def __init__(
        self, folder: Path, int8: bool, compiled: bool, threads: int, context: int
    ) -> None:
        self.room = context
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        if int8:
            from torchao.quantization import Int8WeightOnlyConfig, quantize_

            quantize_(self.model, Int8WeightOnlyConfig())
        # Only steps of one token are compiled: they have one shape.
        self.step = (
            torch.compile(self.model, fullgraph=True, dynamic=False) if compiled else self.model
        )

    def generate(self, prompt: list[int], tokens: int, on_token: OnToken) -> None:
        cache = StaticCache(config=self.model.config, max_cache_len=self.room)
        ids = torch.tensor([prompt])
        position = 0
        forward = self.model
        for _ in range(tokens):
            positions = torch.arange(position, position + ids.shape[1])[None]
            found = forward(ids, position_ids=positions, past_key_values=cache, logits_to_keep=1)
            position += ids.shape[1]
            ids = found.logits[:, -1:].argmax(-1)
            ids.item()
            on_token()
            forward = self.step

    def logits(self, ids: list[int]) -> Floats:
        return self.model(torch.tensor([ids])).logits[0].float().numpy()
