"""Greedy text by transformers in float32, for both models of this folder: makes reference.json.

    python examples/smollm2/reference.py            writes reference.json
    python examples/smollm2/reference.py --check    also checks bf16.py's rescaling, before rounding

For `smollm2` the weights are those of the GGUF file, widened; for `smollm2-bf16` those of
cache/bf16. Neither a chat template nor a beginning-of-text token is put in front, and generation
goes on after an end-of-text token: always 64 tokens. `gaps` holds, for every generated token, how
far its logit was above the second best: where it is below 1e-3, another order of summation may
well choose the other token, and all that follows may differ.

Needs torch, transformers, tokenizers, numpy and gguf. Made with transformers 5.23 and torch 2.15.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

import weights
from bf16 import FOLDER, RECORD, SEED, SPREAD
from fetch import CACHE, NAME, SHA256

OUTPUT = Path(__file__).resolve().with_name("reference.json")
TOKENS = 64
PROMPTS = (
    "The history of computing is",
    'def fibonacci(n: int) -> int:\n    """Returns the n-th Fibonacci number."""\n',
    "Question: Why is the sky blue during the day and red at sunset?\nAnswer:",
    "Ten animals that live in the sea:\n1. Dolphin\n2.",
    "La ville de Paris est connue pour",
    "Once upon a time, in a small village by the sea, there lived",
    "2, 4, 8, 16, 32,",
    '{"name": "Ada Lovelace", "born": 1815, "known_for": [',
    "Dear Sir or Madam,\n\nI am writing to you about",
    "<|im_start|>user\nWhat is a compiler?<|im_end|>\n<|im_start|>assistant\n",
)
Json = dict[str, Any]


def load(config: Json, tensors: dict[str, weights.Floats]) -> LlamaForCausalLM:
    """transformers' model in float32 over the given weights, with eager attention."""
    model = LlamaForCausalLM(LlamaConfig(**{**config, "torch_dtype": "float32"}))
    state = {name: torch.from_numpy(value) for name, value in tensors.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and missing == ["lm_head.weight"], (missing, unexpected)
    model.tie_weights()
    model.set_attn_implementation("eager")
    return model.eval()


def greedy(model: LlamaForCausalLM, prompt_ids: list[int]) -> tuple[list[int], list[float]]:
    """The ids of 64 tokens by greedy choice, and the gap to the second best logit of each."""
    ids: list[int] = []
    gaps: list[float] = []
    step = torch.tensor([prompt_ids])
    cache = None
    with torch.no_grad():
        for _ in range(TOKENS):
            result = model(step, past_key_values=cache, use_cache=True)
            cache = result.past_key_values
            best = result.logits[0, -1].topk(2)
            ids.append(int(best.indices[0]))
            gaps.append(round(float(best.values[0] - best.values[1]), 5))
            step = torch.tensor([ids[-1:]])
    return ids, gaps


def cases(model: LlamaForCausalLM, tokenizer: Tokenizer, name: str) -> list[Json]:
    """All prompts with their continuations."""
    result: list[Json] = []
    for prompt in PROMPTS:
        prompt_ids = tokenizer.encode(prompt).ids
        ids, gaps = greedy(model, prompt_ids)
        text = tokenizer.decode(ids, skip_special_tokens=False)
        entry = {"prompt": prompt, "prompt_ids": prompt_ids, "ids": ids, "gaps": gaps, "text": text}
        result.append(entry)
        print(f"{name}: least gap {min(gaps):.5f}  {prompt!r} -> {text!r}", flush=True)
    return result


def largest_difference(left: LlamaForCausalLM, right: LlamaForCausalLM, ids: list[int]) -> float:
    """The largest absolute difference of two models' logits over a text."""
    tokens = torch.tensor([ids])
    with torch.no_grad():
        return float((left(tokens).logits - right(tokens).logits).abs().max())


def perplexity(model: LlamaForCausalLM, ids: list[int]) -> float:
    """The perplexity of a model over a text."""
    tokens = torch.tensor([ids])
    with torch.no_grad():
        return float(model(tokens, labels=tokens).loss.exp())


def one_case_a_line(head: Json, models: dict[str, Json]) -> str:
    """The document {**head, "models": models} as JSON that reads well in a diff."""
    parts: list[str] = []
    for name, model in models.items():
        lines = ",\n    ".join(json.dumps(case) for case in model["cases"])
        inner = f'   "sha256": "{model["sha256"]}",\n   "cases": [\n    {lines}\n   ]'
        parts.append(f'  "{name}": {{\n{inner}\n  }}')
    start = json.dumps(head, indent=1).removesuffix("\n}")
    return start + ',\n "models": {\n' + ",\n".join(parts) + "\n }\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes reference.json.")
    parser.add_argument("--check", action="store_true", help="check bf16.py's rescaling")
    check: bool = parser.parse_args().check

    source = weights.read_model(CACHE / NAME)
    tokenizer = Tokenizer.from_str(json.dumps(source.tokenizer))
    widened = load(source.config, source.weights)
    rounded = LlamaForCausalLM.from_pretrained(
        FOLDER, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    if check:
        ids = tokenizer.encode((CACHE / "heldout.txt").read_text(encoding="utf-8")).ids[:1024]
        rescaled = load(source.config, weights.rescale(source, SEED, SPREAD))
        print(
            f"rescaled, float32: logits differ by {largest_difference(widened, rescaled, ids):.2e}"
        )
        print(f"rescaled and rounded: by {largest_difference(widened, rounded, ids):.2e}")
        for name, model in (("GGUF", widened), ("rescaled", rescaled), ("bf16", rounded)):
            print(f"perplexity of 1024 held-out tokens, {name}: {perplexity(model, ids):.4f}")

    digest = json.loads((FOLDER / RECORD).read_text(encoding="utf-8"))["sha256"]
    head = {
        "about": "Greedy tokens by transformers in float32; reference.py says how.",
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    models = {
        "smollm2": {"sha256": SHA256, "cases": cases(widened, tokenizer, "smollm2")},
        "smollm2-bf16": {"sha256": digest, "cases": cases(rounded, tokenizer, "smollm2-bf16")},
    }
    OUTPUT.write_text(one_case_a_line(head, models), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    main()
