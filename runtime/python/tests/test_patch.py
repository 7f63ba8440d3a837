"""Patched models against transformers, against the native runtime, and under torch.compile."""

import gsic
import pytest
import torch
from transformers import AutoModelForCausalLM

EXACT = 1e-4
"""Of the largest logit."""
BOUNDED = 5e-4
"""The same at few bits, whose kernels round activations: rounding errors of the host's f32 can move one to the next value."""


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def some_ids(model, count=37):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, model.config.vocab_size, (1, count), generator=generator)


def logits_of(model, ids):
    with torch.inference_mode():
        return model(ids).logits


def difference(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


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
    patched = gsic.patch(model, build(name, "bounded"))
    found = logits_of(model, ids)[0]
    native = gsic.Model(build(name, "bounded"))
    expected = torch.tensor(native.logits(ids[0].tolist(), "bounded"))
    assert difference(found, expected) <= BOUNDED
    assert difference(found, dense[0]) > 4 * BOUNDED
    patched.restore()
    native.close()


def test_decoding_with_a_cache_gives_the_same_tokens(build, checkpoint):
    model = load(checkpoint("tiny-gpt2"))
    ids = some_ids(model, 5)
    options = {"max_new_tokens": 20, "do_sample": False, "attention_mask": torch.ones_like(ids), "pad_token_id": 0}
    expected = model.generate(ids, **options)
    patched = gsic.patch(model, build("tiny-gpt2", "exact"))
    assert model.generate(ids, **options).tolist() == expected.tolist()
    patched.restore()


def test_batches_and_bfloat16(build, checkpoint):
    model = load(checkpoint("llama")).to(torch.bfloat16)
    ids = some_ids(model, 36).reshape(3, 12)
    expected = logits_of(model, ids)
    patched = gsic.patch(model, build("llama", "exact"))
    found = logits_of(model, ids)
    assert found.dtype == torch.bfloat16 and difference(found.float(), expected.float()) <= 0.02
    patched.restore()


def test_the_operator_is_opaque_to_compilers(build, checkpoint):
    model = load(checkpoint("llama"))
    patched = gsic.patch(model, build("llama", "exact"))
    ids = some_ids(model, 16)
    expected = logits_of(model, ids)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert difference(logits_of(compiled, ids), expected) <= 1e-6
    layer = model.model.layers[0].self_attn.q_proj
    match = layer.match
    x = torch.randn(2, 3, match.d)
    arguments = (x, layer.runner, match.call, match.column, match.out, match.width, layer.sharers)
    torch.library.opcheck(torch.ops.gsic.linear, arguments, test_utils=("test_schema", "test_faketensor"))
    patched.restore()
    with pytest.raises(RuntimeError, match="restored"):
        layer(x)


def test_shared_inputs_are_computed_anew_when_they_change(build, checkpoint):
    model = load(checkpoint("llama"))
    attention = model.model.layers[0].self_attn
    weights = [module.weight.detach().clone() for module in (attention.q_proj, attention.k_proj)]
    patched = gsic.patch(model, build("llama", "exact"))
    x = torch.randn(3, weights[0].shape[1])
    for change in (lambda: None, lambda: x.mul_(2), lambda: x.data.neg_()):
        change()
        with torch.no_grad():
            assert difference(attention.q_proj(x), x @ weights[0].T) <= 1e-5
            assert difference(attention.q_proj(x), x @ weights[0].T) <= 1e-5
    x.add_(1)
    with torch.no_grad():
        assert difference(attention.k_proj(x), x @ weights[1].T) <= 1e-5
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


def test_bad_calls_are_refused(build, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds 0 files"):
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
