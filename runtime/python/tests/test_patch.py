"""Patched models of transformers against the unpatched, and against the native runtime."""

import gsic
import pytest
import torch
from comparing import BOUNDED, EXACT, difference, load, native_logits, native_text


def some_ids(model, count=37):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, model.config.vocab_size, (1, count), generator=generator)


def logits_of(model, ids):
    with torch.inference_mode():
        return model(ids).logits


def generate(model, ids, **options):
    """20 greedy tokens behind each row of ids."""
    options = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, **options}
    made = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    return made[:, ids.shape[1] :].tolist()


@pytest.mark.parametrize("name", ["tiny-gpt2", "llama", "phi3"])
def test_exact_mode_equals_transformers(build, checkpoint, name):
    model = load(checkpoint(name))
    ids = some_ids(model)
    expected = logits_of(model, ids)
    patched = gsic.patch(model, build(name, "exact"))
    assert patched.left == [] and len(patched.swapped) > 4
    found = logits_of(model, ids)
    assert not torch.equal(found, expected) and difference(found, expected) <= EXACT
    patched.restore()
    assert torch.equal(logits_of(model, ids), expected)


@pytest.mark.parametrize("name", ["tiny-gpt2", "llama"])
def test_bounded_mode_equals_the_native_runtime(build, checkpoint, name):
    model = load(checkpoint(name))
    ids = some_ids(model)
    dense = logits_of(model, ids)
    folder = build(name, "bounded")
    with_plan = gsic.patch(model, folder)
    found = logits_of(model, ids)
    assert difference(found[0], native_logits(folder, ids[0].tolist(), "bounded")) <= BOUNDED
    assert difference(found, dense) > 4 * BOUNDED
    with_plan.restore()
    # Each build has its exact mode.
    without_plan = gsic.patch(model, folder, "exact")
    assert difference(logits_of(model, ids), dense) <= EXACT
    without_plan.restore()


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_exact_mode_generates_the_tokens_of_transformers(build, checkpoint, cache):
    model = load(checkpoint("tiny-gpt2"))
    ids = some_ids(model, 10).reshape(2, 5)
    expected = generate(model, ids)
    patched = gsic.patch(model, build("tiny-gpt2", "exact"))
    assert generate(model, ids, cache_implementation=cache) == expected
    patched.restore()


def test_bounded_mode_generates_the_tokens_of_the_native_executable(build, checkpoint):
    model = load(checkpoint("tiny-gpt2"))
    ids = some_ids(model, 5)
    folder = build("tiny-gpt2", "bounded")
    patched = gsic.patch(model, folder)
    assert generate(model, ids) == [native_text(folder, "tiny-gpt2", ids[0].tolist(), 20)]
    patched.restore()


def test_batches_and_bfloat16(build, checkpoint):
    model = load(checkpoint("llama")).to(torch.bfloat16)
    ids = some_ids(model, 36).reshape(3, 12)
    expected = logits_of(model, ids)
    patched = gsic.patch(model, build("llama", "exact"))
    found = logits_of(model, ids)
    assert found.dtype == torch.bfloat16 and difference(found.float(), expected.float()) <= 0.02
    patched.restore()


def test_linears_that_the_build_lacks_are_left(build, checkpoint):
    model = load(checkpoint("llama"))
    model.added = torch.nn.Linear(4, 4)
    model.model.layers[0].mlp.up_proj = torch.nn.Linear(3, 5)  # of the same name, and another shape
    patched = gsic.patch(model, build("llama", "exact"))
    assert sorted(patched.left) == ["added", "model.layers.0.mlp.up_proj"]
    assert type(model.added) is torch.nn.Linear
    patched.restore()


def test_a_base_model_without_its_head_is_patched(build, checkpoint):
    base = load(checkpoint("llama")).model
    patched = gsic.patch(base, build("llama", "exact"))
    assert patched.left == [] and "layers.0.self_attn.q_proj" in patched.swapped
    patched.restore()


def test_another_checkpoint_is_refused(build, checkpoint):
    model = load(checkpoint("llama"))
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.mul_(-1)
    with pytest.raises(ValueError, match="down_proj"):
        gsic.patch(model, build("llama", "exact"))
    assert isinstance(model.model.layers[0].mlp.down_proj, torch.nn.Linear)
    with pytest.raises(ValueError, match="none of its tensors"):
        gsic.patch(torch.nn.Sequential(torch.nn.Linear(4, 4)), build("llama", "exact"))


def test_a_device_that_gsic_does_not_run_on_is_refused(build, checkpoint):
    with pytest.raises(RuntimeError, match="x is on meta"):
        gsic.patch(load(checkpoint("llama")).to("meta"), build("llama", "exact"))


def test_a_restored_model_is_the_original_and_its_build_is_closed(build, checkpoint):
    model = load(checkpoint("llama"))
    patched = gsic.patch(model, build("llama", "exact"))
    layer = model.lm_head
    patched.restore()
    patched.restore()
    assert type(model.lm_head) is torch.nn.Linear
    with pytest.raises(RuntimeError, match="restored"):
        layer(torch.randn(2, layer.in_features))


def test_bad_calls_are_refused(build, tmp_path):
    with pytest.raises(FileNotFoundError, match="is no build"):
        gsic.Model(tmp_path)
    with pytest.raises(gsic.GsicError, match="no target|cannot be used"):
        gsic.Model(build("llama", "exact"), target="no-such-target")
    model = gsic.Model(build("llama", "exact"))
    with pytest.raises(gsic.GsicError, match="modes are: exact"):
        gsic.Linears(model, "no-such-mode")
    linears = gsic.Linears(model)
    with pytest.raises(gsic.GsicError, match="no call 9999"):
        linears.run(9999, 0, 0, 0)
    with pytest.raises(gsic.GsicError, match="no streams"):
        linears.enqueue(0, 1, 1, 1, 0)
    linears.close()
    with pytest.raises(gsic.GsicError, match="must not be null"):
        linears.run(0, 1, 1, 1)
