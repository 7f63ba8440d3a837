"""A build as a model of EleutherAI's lm-eval, against transformers on the same data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

lm_eval = pytest.importorskip("lm_eval", reason="npm run test:python installs it")
sys.path.insert(0, str(Path(__file__).parents[3] / "compiler/serve/clients"))

import gsic.lm_eval
from lm_eval.api.instance import Instance
from lm_eval_tasks import evaluate, expect_same, write_tasks


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return write_tasks(tmp_path_factory.mktemp("tasks"))


def by_transformers(folder, tasks, **options):
    return evaluate("hf", {"pretrained": str(folder), "dtype": "float32", "device": "cpu", **options}, tasks)


@pytest.mark.parametrize("options", [{}, {"max_length": 100}])
def test_numbers_are_those_of_transformers(build, checkpoint, tasks, options):
    """Choices, perplexities and answers; of texts that do not fit the context, too."""
    found = evaluate("gsic", {"build": str(build("tiny-gpt2", "exact")), **options}, tasks)
    expect_same(found, by_transformers(checkpoint("tiny-gpt2"), tasks, **options))


def test_bounded_mode_has_numbers_of_its_own(build, checkpoint, tasks):
    found = evaluate("gsic", {"build": str(build("tiny-gpt2", "bounded"))}, tasks)
    expected = by_transformers(checkpoint("tiny-gpt2"), tasks)
    name = "bits_per_byte,none"
    mine, theirs = (run["results"]["gsic_rolling"][name] for run in (found, expected))
    assert mine == pytest.approx(theirs, rel=0.1) and mine != pytest.approx(theirs, rel=1e-5)


def test_its_own_command(build, tasks, tmp_path):
    command = [sys.executable, "-m", "gsic.lm_eval", "run", "--model", "gsic", "--include_path", str(tasks)]
    arguments = ["--model_args", f"build={build('tiny-gpt2', 'exact')},threads=1", "--tasks", "gsic_choice"]
    subprocess.run([*command, *arguments, "--output_path", str(tmp_path / "out")], check=True, cwd=tmp_path)
    (file,) = (tmp_path / "out").rglob("*.json")
    assert 0 < json.loads(file.read_text())["results"]["gsic_choice"]["acc,none"] < 1


def test_what_is_wrong_is_said(build):
    model = gsic.lm_eval.GsicLM(str(build("tiny-gpt2", "exact")))

    def ask(**options):
        request = Instance("generate_until", {}, ("Once", options), 0)
        return model.generate_until([request], disable_tqdm=True)

    assert len(ask(until="nothing", max_gen_toks=3)[0]) > 0
    with pytest.raises(ValueError, match="without num_beams"):
        ask(num_beams=4)
    with pytest.raises(ValueError, match="no room for max_gen_toks = 256"):
        ask()
