"""The operator gsic::linear alone: its inputs, what linears share, its refusals, and compilers."""

from concurrent.futures import ThreadPoolExecutor

import gsic
import pytest
import torch
from comparing import difference, load
from gsic import native


@pytest.fixture
def attention(build, checkpoint):
    """The first attention of a patched model, and the weights of its query, key and value."""
    model = load(checkpoint("llama"))
    found = model.model.layers[0].self_attn
    weights = {name: getattr(found, name).weight.detach().clone() for name in ("q_proj", "k_proj", "v_proj")}
    patched = gsic.patch(model, build("llama", "exact"))
    yield found, weights
    patched.restore()


def d_of(attention):
    return attention.q_proj.in_features


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 3, 4), (0,), (2, 0), (40,)])
def test_inputs_of_any_shape_and_floating_type(attention, shape, dtype, limit):
    found, weights = attention
    x = torch.randn((*shape, d_of(found))).to(dtype)
    with torch.no_grad():
        for name, weight in weights.items():
            y, expected = getattr(found, name)(x), x.float() @ weight.T
            assert y.dtype == dtype and y.shape == expected.shape and y.is_contiguous()
            assert y.numel() == 0 or difference(y.float(), expected) <= limit


def test_inputs_that_are_not_contiguous(attention):
    found, weights = attention
    d = d_of(found)
    for x in (torch.randn(d, 7).T, torch.randn(4, 6, d).transpose(0, 1), torch.randn(3, 2 * d)[:, ::2]):
        assert not x.is_contiguous()
        with torch.no_grad():
            assert difference(found.v_proj(x), x @ weights["v_proj"].T) <= 1e-5


@pytest.fixture
def calls(monkeypatch):
    """A list that grows with each call of the native library, of builds that are opened from now on."""
    made, load_library = [], gsic.library.load_library

    def load_counting(folder):
        library = load_library(folder)
        run = library.gsic_linears_run

        @native._Run
        def counted(linears, call, *arguments):
            made.append(call)
            return run(linears, call, *arguments)

        library.gsic_linears_run = counted
        return library

    monkeypatch.setattr(gsic.library, "load_library", load_counting)
    return made


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_query_key_and_value_are_computed_once(build, checkpoint, calls, mode):
    model = load(checkpoint("llama"))
    found = model.model.layers[0].self_attn
    weights = {name: getattr(found, name).weight.detach().clone() for name in ("q_proj", "k_proj", "v_proj")}
    patched = gsic.patch(model, build("llama", "exact"), check=False)
    with mode():
        for columns in (3, 1, 1):
            x = torch.randn(columns, d_of(found))
            for name, weight in weights.items():
                assert difference(getattr(found, name)(x), x @ weight.T) <= 1e-5
    assert len(calls) == 3
    patched.restore()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("write", [lambda x: x.mul_(2), lambda x: x.data.neg_(), lambda x: x.numpy().fill(3)])
def test_shared_inputs_are_computed_anew_when_they_change(attention, mode, write):
    found, weights = attention
    with mode():
        x = torch.randn(3, d_of(found))
        for name, weight in weights.items():
            assert difference(getattr(found, name)(x), x @ weight.T) <= 1e-5
            write(x)
        # One that asks again does so for new values.
        assert difference(found.k_proj(x), x @ weights["k_proj"].T) <= 1e-5
        assert difference(found.k_proj(-x), -x @ weights["k_proj"].T) <= 1e-5


def test_threads_take_turns(attention):
    found, weights = attention

    def run(seed):
        x = torch.randn(2, d_of(found), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return max(difference(getattr(found, name)(x), x @ weight.T) for name, weight in weights.items())

    with ThreadPoolExecutor(4) as threads:
        assert max(threads.map(run, range(200))) <= 1e-5


def test_bad_inputs_are_refused(attention):
    found, _ = attention
    d = d_of(found)
    for x in (torch.randn(3, d + 1), torch.randn(3, d - 1), torch.tensor(1.0)):
        with pytest.raises(RuntimeError, match=rf"expected floating numbers \[..., {d}\]"):
            found.q_proj(x)
    with pytest.raises(RuntimeError, match="of no floating type"):
        found.q_proj(torch.ones(3, d, dtype=torch.int64))


def test_there_is_no_derivative(attention):
    found, _ = attention
    y = found.q_proj(torch.randn(3, d_of(found), requires_grad=True))
    with pytest.raises(RuntimeError, match="has no derivative"):
        y.sum().backward()


def test_pytorch_accepts_the_operator(attention):
    found, _ = attention
    for module in (found.q_proj, found.o_proj):
        match = module.match
        for shape in ((3,), (2, 3)):
            x = torch.randn((*shape, match.d))
            arguments = (x, module.runner, match.call, match.column, match.out, module.sharers)
            torch.library.opcheck(torch.ops.gsic.linear, arguments)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_as_a_whole(build, checkpoint, backend):
    """The graph is one, without breaks, and calls the operator for every linear; for several lengths of text."""
    torch.compiler.reset()
    model = load(checkpoint("llama"))
    patched = gsic.patch(model, build("llama", "exact"))
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    with torch.no_grad():
        for shape in ((1, 16), (2, 7), (1, 30)):
            ids = torch.randint(0, model.config.vocab_size, shape)
            assert difference(compiled(ids, use_cache=False).logits, model(ids).logits) <= 1e-5
        report = torch._dynamo.explain(model)(torch.randint(0, model.config.vocab_size, (1, 9)), use_cache=False)
    assert (report.graph_count, report.graph_break_count) == (1, 0)
    nodes = [node for graph in report.graphs for node in graph.graph.nodes]
    assert sum("gsic.linear" in str(node.target) for node in nodes) == len(patched.swapped)
    patched.restore()
