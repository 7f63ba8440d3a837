"""Tasks of EleutherAI's lm-eval whose data are made here, and what two models' numbers on them must have in common."""

import json
import random
from pathlib import Path

import lm_eval
import pytest
import yaml
from lm_eval.tasks import TaskManager

ANIMALS = ["fox", "bear", "owl", "cat", "dog", "bird"]
PLACES = ["wood", "house", "garden", "river", "hill"]


def sentence(rng: random.Random) -> str:
    return f"The {rng.choice(ANIMALS)} went to the {rng.choice(PLACES)} and saw a {rng.choice(ANIMALS)}."


def write(file: Path, rows: list[dict]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def write_tasks(folder: Path) -> Path:
    """Writes a task of multiple choice, one of perplexity and one of generated answers into a folder; returns it."""
    rng = random.Random(7)
    choice = [
        {
            "question": f"Once upon a time there was a {rng.choice(ANIMALS)}. {sentence(rng)} It was",
            "choices": rng.sample(["very happy", "a river", "blue and", "not at home that day"], 3),
            "answer": rng.randrange(3),
        }
        for _ in range(20)
    ]
    # The longest of them do not fit the model's context of 256 tokens: they are read in windows.
    rolling = [{"text": " ".join(sentence(rng) for _ in range(n))} for n in (1, 3, 8, 30, 60)]
    generate = [{"text": f"Once upon a time. {sentence(rng)}", "target": " It was a day"} for _ in range(8)]
    common = {"dataset_path": "json", "test_split": "test"}

    def data(name: str, rows: list[dict]) -> dict:
        return {"dataset_kwargs": {"data_files": {"test": write(folder / f"{name}.jsonl", rows)}}}

    specs = [
        {
            "task": "gsic_choice",
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{answer}}",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
            **data("choice", choice),
        },
        {
            "task": "gsic_rolling",
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
            **data("rolling", rolling),
        },
        {
            "task": "gsic_generate",
            "output_type": "generate_until",
            "doc_to_text": "{{text}}",
            "doc_to_target": "{{target}}",
            "generation_kwargs": {"until": ["."], "max_gen_toks": 24, "do_sample": False, "temperature": 0},
            "metric_list": [{"metric": "exact_match"}],
            **data("generate", generate),
        },
    ]
    for spec in specs:
        (folder / f"{spec['task']}.yaml").write_text(yaml.dump({**common, **spec}))
    return folder


def evaluate(model: str, arguments: dict, tasks: Path) -> dict:
    """What lm-eval says of a model on the tasks of `write_tasks`."""
    names = ["gsic_choice", "gsic_rolling", "gsic_generate"]
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    return lm_eval.simple_evaluate(
        model=model, model_args=arguments, tasks=names, task_manager=manager, log_samples=True, bootstrap_iters=0
    )


def expect_same(found: dict, expected: dict) -> None:
    """Fails unless two models, as `evaluate` saw them, choose alike, write alike, and give texts the same probability."""
    results, wanted = found["results"], expected["results"]
    for metric in ("acc,none", "acc_norm,none"):
        assert results["gsic_choice"][metric] == wanted["gsic_choice"][metric]
    assert 0 < wanted["gsic_choice"]["acc,none"] < 1
    for metric in ("word_perplexity,none", "bits_per_byte,none"):
        assert results["gsic_rolling"][metric] == pytest.approx(wanted["gsic_rolling"][metric], rel=1e-4)

    def answers(run: dict, task: str) -> list:
        return [one["resps"] for one in sorted(run["samples"][task], key=lambda one: one["doc_id"])]

    assert answers(found, "gsic_generate") == answers(expected, "gsic_generate")
    for mine, theirs in zip(answers(found, "gsic_choice"), answers(expected, "gsic_choice")):
        for (mine_one,), (theirs_one,) in zip(mine, theirs):
            assert float(mine_one[0]) == pytest.approx(float(theirs_one[0]), abs=1e-3)
            assert str(mine_one[1]) == str(theirs_one[1])
