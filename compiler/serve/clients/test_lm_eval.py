"""EleutherAI's lm-eval through `local-completions`, against transformers on the same data, which are made here."""

import os
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")
from lm_eval_tasks import evaluate, expect_same, write_tasks  # noqa: E402

URL = os.environ["GSIC_SERVER"] + "/v1/completions"
MODEL = os.environ["GSIC_MODEL"]


def test_numbers_are_those_of_transformers(tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path)
    served = {
        "base_url": URL,
        "model": "tiny-gpt2",
        "tokenizer_backend": "huggingface",
        "tokenizer": MODEL,
        "tokenized_requests": True,
        "max_length": 256,
        "num_concurrent": 2,
    }
    found = evaluate("local-completions", served, tasks)
    # lm-eval cuts long texts into windows of two tokens less where it asks an API.
    expected = evaluate("hf", {"pretrained": MODEL, "dtype": "float32", "device": "cpu", "max_length": 254}, tasks)
    expect_same(found, expected)
