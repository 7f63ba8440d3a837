"""Whole models by gsic.load, against transformers and the native executable."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import gsic
import numpy as np
import pytest
import torch
from comparing import BOUNDED, EXACT, difference, load, native_text
from gsic.generation import StopText
from transformers import AutoTokenizer

PROMPT = "Once upon a time, there was a"


@pytest.fixture(scope="module")
def story(build):
    with gsic.load(build("tiny-gpt2", "exact")) as model:
        yield model


@pytest.fixture(scope="module")
def transformer(checkpoint):
    return load(checkpoint("tiny-gpt2"))


def logits_of(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0]


def test_tokens_are_those_of_transformers(story, checkpoint):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("tiny-gpt2"))
    for text in (PROMPT, "", " é — 漢字 🦊\n\n  two", "<|endoftext|>"):
        ids = story.encode(text, parse_special=True)
        assert ids == tokenizer.encode(text)
        assert story.decode(ids) == text
    assert len(story.encode("<|endoftext|>")) > 1


def test_text_is_that_of_transformers(story, transformer):
    ids = story.encode(PROMPT)
    made = story.generate(PROMPT, max_tokens=40)
    with torch.inference_mode():
        expected = transformer.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False, pad_token_id=0)
    assert made.ids == expected[0, len(ids) :].tolist()
    assert made.text == story.decode(made.ids) and made.end == "limit"
    assert story.generate(ids, max_tokens=40) == made


def test_bounded_mode_writes_the_text_of_the_native_executable(build):
    folder = build("tiny-gpt2", "bounded")
    with gsic.load(folder) as model:
        ids = model.encode(PROMPT)
        assert model.mode == "bounded"
        assert model.generate(PROMPT, max_tokens=30).ids == native_text(folder, "tiny-gpt2", ids, 30)
    # Each build has its exact mode.
    with gsic.load(folder, "exact") as model:
        assert model.generate(PROMPT, max_tokens=30).ids == native_text(build("tiny-gpt2", "exact"), "tiny-gpt2", ids, 30)


def test_logits_are_those_of_transformers(story, transformer, build):
    ids = story.encode(PROMPT)
    expected = logits_of(transformer, ids)
    logits = story.logits(PROMPT)
    assert difference(torch.frombuffer(logits, dtype=torch.float32).view(logits.shape), expected) <= EXACT
    assert difference(torch.tensor(np.asarray(logits)), expected) <= EXACT
    with gsic.load(build("tiny-gpt2", "bounded")) as model:
        assert difference(torch.tensor(np.asarray(model.logits(ids))), expected) > 4 * BOUNDED


def test_a_session_goes_back(story):
    ids = story.encode(PROMPT)
    whole = np.asarray(story.logits(ids))
    with story.session() as session:
        assert session.evaluate(ids[:3], 0).nbytes == 0 and len(session) == 3
        assert np.array_equal(np.asarray(session.evaluate(ids[3:], 2)), whole[-2:])
        session.rewind(4)
        assert len(session) == 4
        assert np.array_equal(np.asarray(session.evaluate(ids[4:])), whole[4:])


def test_scores_are_those_of_transformers(story, transformer):
    ids = story.encode(PROMPT)
    scores = torch.log_softmax(logits_of(transformer, ids).double(), -1)
    found = story.score(PROMPT, alternatives=3)
    assert [one.id for one in found] == ids and "".join(one.text for one in found) == PROMPT
    assert found[0].log_probability is None and found[0].alternatives == ()
    for at, one in enumerate(found[1:]):
        assert one.log_probability == pytest.approx(scores[at, one.id].item(), abs=1e-4)
        assert [other.id for other in one.alternatives] == scores[at].topk(3).indices.tolist()
        assert one.alternatives[0].log_probability == pytest.approx(scores[at].max().item(), abs=1e-4)
    # Those of generated tokens are those of the text that came of them.
    made = story.generate(PROMPT, max_tokens=12, alternatives=2)
    again = story.score(ids + made.ids, alternatives=2)[len(ids) :]
    assert [(one.id, one.log_probability, one.alternatives) for one in made.tokens] == [
        (one.id, one.log_probability, one.alternatives) for one in again
    ]


def test_streams_come_token_by_token_and_whatever_runs_beside_them(story):
    prompts = [PROMPT, "The little fox", "One day, Tom and", story.encode("Lily")]
    warm = gsic.Sampling(temperature=0.9, top_p=0.95, seed=3)
    alone = [story.generate(prompt, max_tokens=25, sampling=warm) for prompt in prompts]
    assert alone[0] != story.generate(PROMPT, max_tokens=25)
    assert story.generate_all(prompts, max_tokens=25, sampling=warm) == alone
    streams = [story.stream(prompt, max_tokens=25, sampling=warm) for prompt in prompts]
    turns = list(zip(*streams))
    assert [[token for token in one] for one in zip(*turns)] == [one.tokens for one in alone]
    with ThreadPoolExecutor(8) as threads:
        run = lambda at: story.generate(prompts[at % 4], max_tokens=25, sampling=warm)  # noqa: E731
        assert list(threads.map(run, range(40))) == [alone[at % 4] for at in range(40)]


def test_ends(story):
    plain = story.generate(PROMPT, max_tokens=60)
    stop = plain.text[20:24]
    cut = story.generate(PROMPT, max_tokens=60, stop=["never this", stop])
    assert (cut.text, cut.end) == (plain.text[: plain.text.index(stop)], "stop")
    # What might have been the beginning of a stop comes in the end.
    kept = story.generate(PROMPT, max_tokens=60, stop=[plain.text[-3:] + "\0"])
    assert (kept.text, kept.end) == (plain.text, "limit")
    by_id = story.generate(PROMPT, max_tokens=60, stop_ids=[plain.ids[9]])
    assert by_id.ids == plain.ids[: plain.ids.index(plain.ids[9])] and by_id.end == "end_of_text"
    full = story.generate(PROMPT, max_tokens=10**6)
    assert full.end == "end_of_text" or (full.end == "context" and len(full.ids) < story.context)
    with story.stream(PROMPT, max_tokens=60) as stream:
        first = next(stream)
    assert first == plain.tokens[0] and stream.end == "cancelled" and list(stream) == []


def test_stop_texts_over_pieces():
    assert StopText("ab").take("xaby") == ("x", True)
    stop = StopText(["ab", "bcd", ""])
    assert [stop.take(piece) for piece in ("xa", "ya", "c")] == [("x", False), ("ay", False), ("ac", False)]
    assert stop.take("b") == ("", False) and stop.keeps()
    assert stop.take("c") == ("", False) and stop.take("de") == ("", True)
    assert not stop.keeps()


def test_penalties_and_biases(story):
    plain = story.generate(PROMPT, max_tokens=1)
    other = story.generate(PROMPT, max_tokens=1, sampling=gsic.Sampling(bias={plain.ids[0]: -100.0, 5: 1.0}))
    assert other.ids != plain.ids
    frequent = gsic.Sampling(frequency_penalty=2.0, presence_penalty=2.0, repetition_penalty=1.5)
    ids = story.generate(PROMPT, max_tokens=60, sampling=frequent).ids
    assert len(set(ids)) > len(set(story.generate(PROMPT, max_tokens=60).ids))


def test_what_is_wrong_is_said(story, build, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing here; give the folder"):
        gsic.load(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="no bundle .* so is no build; give the folder"):
        gsic.load(tmp_path)
    damaged = tmp_path / "damaged.gsi"
    damaged.write_bytes(next(build("tiny-gpt2", "exact").glob("*.gsi")).read_bytes()[:-1000])
    with pytest.raises(gsic.GsicError, match="damaged"):
        gsic.load(damaged)
    with pytest.raises(gsic.GsicError, match="no target|cannot be used"):
        gsic.load(build("tiny-gpt2", "exact"), target="mi300x")
    with pytest.raises(gsic.GsicError, match="no mode 'bounded'; the modes are: exact"):
        gsic.load(build("tiny-gpt2", "exact"), "bounded")
    with pytest.raises(gsic.GsicError, match="prompt is empty"):
        story.generate([])
    with pytest.raises(gsic.GsicError, match="do not fit"):
        story.score([5] * (story.context + 1))
    with pytest.raises(gsic.GsicError, match="ids of this model"):
        story.logits([10**6])
    with pytest.raises(TypeError, match="max_token"):
        story.generate(PROMPT, max_token=3)
    model = gsic.load(build("tiny-gpt2", "exact"))
    stream, session = model.stream(PROMPT), model.session()
    model.close()
    model.close()
    for use in (lambda: next(stream), lambda: session.evaluate([5]), lambda: model.generate(PROMPT)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_integers_are_not_cut(story):
    """C's integers have 32 or 64 bits, and ctypes cuts what is larger to another number."""
    ids = story.encode(PROMPT)
    session = story.session()
    for beyond in (-1, 2**31, 2**32 + ids[0], 2**70):
        for use in (
            lambda: story.generate([beyond], max_tokens=1),
            lambda: story.generate(ids, max_tokens=1, stop_ids=[beyond]),
            lambda: story.generate(ids, max_tokens=1, sampling=gsic.Sampling(bias={beyond: 1.0})),
            lambda: story.decode([beyond]),
            lambda: session.evaluate([beyond]),
        ):
            with pytest.raises(gsic.GsicError, match=f"{beyond} is no id of a token"):
                use()
    session.evaluate(ids, 0)
    for use in (
        lambda: story.generate(ids, max_tokens=-1),
        lambda: story.generate(ids, max_tokens=1, alternatives=2**32),
        lambda: story.generate(ids, max_tokens=1, sampling=gsic.Sampling(seed=-1)),
        lambda: story.generate(ids, max_tokens=1, sampling=gsic.Sampling(temperature=1, top_k=-1)),
        lambda: session.evaluate(ids, len(ids) + 1),
        lambda: session.rewind(2**64),
    ):
        with pytest.raises(ValueError, match="must be an integer from 0 to"):
            use()
    assert len(session) == len(ids)
    session.close()
    with pytest.raises(TypeError, match="not bytes"):
        story.generate(PROMPT.encode())
    # Integers of NumPy and PyTorch are integers.
    assert story.generate(np.array(ids), max_tokens=5) == story.generate(torch.tensor(ids), max_tokens=5)


def test_a_build_for_other_cpus_is_refused(build):
    """GSIC_CPU hides what this machine may have."""
    program = [sys.executable, "-c", "import sys, gsic; gsic.load(sys.argv[1])", str(build("tiny-gpt2", "exact", "cpu-avx2"))]
    environment = {**os.environ, "GSIC_CPU": "portable"}
    made = subprocess.run(program, env=environment, stderr=subprocess.PIPE, text=True)
    assert made.returncode == 1
    assert "GsicError" in made.stderr and "cpu-avx2" in made.stderr
