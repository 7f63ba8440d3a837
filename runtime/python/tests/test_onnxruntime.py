"""ONNX models whose linears are gsic's, in ONNX Runtime: against the models as they were, and the native runtime."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="npm run test:onnxruntime installs it")

import gsic.onnx
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "examples/onnxruntime"
sys.path.insert(0, str(PAGE))

import tiny_gpt2

ROUNDING = 1e-5
"""Of the largest value: f32 arithmetic in another order."""
IDS = np.random.default_rng(3).integers(0, 2000, (3, 19))


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The library of the operator, by the command on the page."""
    out = tmp_path_factory.mktemp("library") / "libgsic_onnxruntime.so"
    command = re.search(r"^g\+\+ .*$", (PAGE / "README.md").read_text(), re.MULTILINE)[0]
    strict = "-Wall -Wextra -Wpedantic -Werror"
    subprocess.run(command.replace("build/libgsic_onnxruntime.so", f"{out} {strict}"), shell=True, cwd=ROOT, check=True)
    return out


@pytest.fixture
def open_session(library):
    """open_session(model, **entries): a session that knows the operator; entries are of its configuration."""

    def make(model, **entries):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        for key, value in entries.items():
            options.add_session_config_entry(f"gsic.{key}", str(value))
        options.register_custom_ops_library(str(library))
        return onnxruntime.InferenceSession(model.SerializeToString(), options)

    return make


@pytest.fixture
def gpt2(checkpoint):
    return tiny_gpt2.gpt2_model(checkpoint("tiny-gpt2"))


def logits_of(session, ids=IDS):
    return session.run(None, {"ids": ids})[0]


def largest_difference(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def small(nodes, outputs, d, constants=None):
    """A model of x [..., d] f32, whose rank is unknown."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ["x", *outputs]]
    initializers = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "small", values[:1], values[1:], initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("gsic", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def one_linear(build, weights, outputs=("y",), d=192, **attributes):
    node = helper.make_node("Linear", ["x"], list(outputs), domain="gsic", build=str(build), weights=weights, **attributes)
    return small([node], list(outputs), d)


def random_rows(*shape):
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def test_exact_mode_equals_the_original_model(build, gpt2, open_session):
    expected = logits_of(open_session(gpt2))
    before = gpt2.ByteSize()
    done = gsic.onnx.patch(gpt2, build("tiny-gpt2", "bounded"), "exact")
    assert len(done.swapped) == 17 and done.left == []
    assert done.swapped["logits"] == "transformer.wte.weight"
    assert [node.op_type for node in gpt2.graph.node if node.op_type in ("MatMul", "Transpose")] == []
    assert gpt2.ByteSize() < before / 4
    onnx.checker.check_model(gpt2)
    found = logits_of(open_session(gpt2))
    assert found.shape == (3, 19, 2048)
    assert not np.array_equal(found, expected) and largest_difference(found, expected) <= ROUNDING


def test_bounded_mode_equals_the_native_runtime(build, gpt2, open_session):
    dense = logits_of(open_session(gpt2))
    folder = build("tiny-gpt2", "bounded")
    gsic.onnx.patch(gpt2, folder)
    found = logits_of(open_session(gpt2))
    native = gsic.Model(folder)
    for row, ids in zip(found, IDS.tolist()):
        assert largest_difference(row, np.array(native.logits(ids, "bounded"))) <= 1e-4
    assert largest_difference(found, dense) > 1e-3
    assert np.array_equal(logits_of(open_session(gpt2, mode="exact")), logits_of(open_session(gpt2, mode="lossless")))
    assert largest_difference(logits_of(open_session(gpt2, mode="exact")), dense) <= ROUNDING


@pytest.mark.parametrize("shape", [(192,), (1, 192), (37, 192), (2, 3, 192), (2, 0, 192)])
def test_rows_of_any_shape_equal_the_linear_alone(build, open_session, shape):
    folder = build("tiny-gpt2", "bounded")
    linears = gsic.Linears(gsic.Model(folder), "bounded")
    linear = next(one for one in linears.all if one.tensor == "transformer.h.1.mlp.c_fc.weight")
    x = random_rows(*shape)
    expected = np.empty((*shape[:-1], linear.out), np.float32)
    linears.run(linear.call, x.ctypes.data, x.size // 192, expected.ctypes.data)
    (found,) = open_session(one_linear(folder, linear.tensor, mode="bounded")).run(None, {"x": x})
    assert found.shape == expected.shape and np.array_equal(found, expected)


def test_products_of_one_value_become_one_node(build, checkpoint, open_session):
    tensors = tiny_gpt2.read_tensors(checkpoint("llama") / "model.safetensors")
    names = [f"model.layers.0.self_attn.{one}_proj.weight" for one in ("v", "q", "k")]
    d = tensors[names[0]].shape[1]
    constants = {"a": tensors[names[0]].T, "b": tensors[names[1]], "c": tensors[names[2]], "other": random_rows(d, 7)}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["v"]),
        helper.make_node("Gemm", ["x", "b"], ["q"], transB=1),
        helper.make_node("Transpose", ["c"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "turned"], ["k"]),
        helper.make_node("MatMul", ["x", "other"], ["more"]),
        helper.make_node("Gemm", ["x", "b"], ["twice"], transB=1, alpha=2.0),
    ]
    model = small(nodes, ["v", "q", "k", "more", "twice"], d, constants)
    x = random_rows(5, d)
    expected = open_session(model).run(None, {"x": x})
    done = gsic.onnx.patch(model, build("llama", "exact"))
    assert done.swapped == dict(zip("vqk", names)) and done.left == ["more", "twice"]
    assert [node.op_type for node in model.graph.node] == ["Linear", "MatMul", "Gemm"]
    assert [one.name for one in model.graph.initializer] == ["b", "other"]
    for found, wanted in zip(open_session(model).run(None, {"x": x}), expected):
        assert found.shape == wanted.shape and largest_difference(found, wanted) <= ROUNDING


def test_a_bias_belongs_to_its_linear(build, checkpoint, open_session):
    tensors = tiny_gpt2.read_tensors(checkpoint("tiny-gpt2") / "model.safetensors")
    weight, bias = (tensors[f"transformer.h.0.mlp.c_fc.{one}"] for one in ("weight", "bias"))
    constants = {"w": weight, "b": bias, "other": bias + 1}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["right"]),
        helper.make_node("MatMul", ["x", "w"], ["read_twice"]),
        helper.make_node("Add", ["b", "read_twice"], ["sum"]),
        helper.make_node("Gemm", ["x", "w", "other"], ["wrong"]),
    ]
    model = small(nodes, ["right", "read_twice", "sum", "wrong"], 192, constants)
    done = gsic.onnx.patch(model, build("tiny-gpt2", "bounded"))
    assert list(done.swapped) == ["right"] and done.left == ["read_twice", "wrong"]
    x = random_rows(2, 192)
    right, product, *_ = open_session(model, mode="exact").run(None, {"x": x})
    assert largest_difference(right, product + bias) <= ROUNDING


def test_products_that_are_none_of_the_build_are_named(build):
    nodes = [helper.make_node("MatMul", ["x", "half"], ["y"]), helper.make_node("MatMul", ["y", "y"], ["z"])]
    model = small(nodes, ["z"], 192, {"half": random_rows(192, 192).astype(np.float16)})
    before = model.SerializeToString()
    with pytest.raises(ValueError, match="none of its linears is one of the model, with weights in f32"):
        gsic.onnx.patch(model, build("tiny-gpt2", "bounded"))
    assert model.SerializeToString() == before


def test_sessions_share_one_model_and_threads_take_turns(build, gpt2, open_session):
    folder = build("tiny-gpt2", "bounded")
    gsic.onnx.patch(gpt2, folder)
    first = open_session(gpt2)
    bundle = str(next(folder.glob("*.gsi")))
    mapped = Path("/proc/self/maps").read_text().count(bundle)
    sessions = [first, open_session(gpt2), open_session(gpt2, mode="exact"), open_session(gpt2, build=f"{folder}/.")]
    assert mapped > 0 and Path("/proc/self/maps").read_text().count(bundle) == mapped
    expected = [logits_of(session) for session in sessions]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: logits_of(sessions[i % 4]), range(32)))
    assert all(np.array_equal(logits, expected[i % 4]) for i, logits in enumerate(found))
    del first, sessions
    assert bundle not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"build": "/no/such/build"}, r"/no/such/build: No such file or directory; give the folder of a build"),
        ({"build": str(PAGE)}, r"holds 0 files lib\*\.so, expected one; give the folder of a build"),
        ({"build": ""}, r"node 'linear': names no build"),
        ({"mode": "fast"}, r"there is no mode 'fast'"),
        ({"weights": "none.weight"}, r"has no linear of the tensor 'none\.weight'; `gsic inspect` lists"),
        ({"weights": ""}, r"has 1 outputs, and 0 tensors in the attribute `weights`"),
        (
            {"weights": "transformer.h.0.mlp.c_fc.weight transformer.h.0.mlp.c_proj.weight", "outputs": ("y", "z")},
            r"`weights` do not read one value",
        ),
    ],
)
def test_bad_nodes_are_refused_when_the_session_opens(build, open_session, settings, message):
    given = {"build": build("tiny-gpt2", "bounded"), "weights": "transformer.h.0.mlp.c_fc.weight"} | settings
    model = one_linear(**given)
    model.graph.node[0].name = "linear"
    with pytest.raises(Exception, match=message):
        open_session(model)


@pytest.mark.parametrize(("shape", "message"), [((4, 191), "191 wide, and the linear reads 192"), ((), "a scalar")])
def test_bad_inputs_are_refused(build, open_session, shape, message):
    session = open_session(one_linear(build("tiny-gpt2", "bounded"), "transformer.h.0.mlp.c_fc.weight"))
    with pytest.raises(Exception, match=message):
        session.run(None, {"x": random_rows(*shape)})
    with pytest.raises(Exception, match="float"):
        session.run(None, {"x": np.zeros((1, 192))})


def test_the_commands_of_the_page(build, checkpoint, library, tmp_path):
    model, patched = tmp_path / "model.onnx", tmp_path / "patched.onnx"
    run = lambda *command: subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    assert run(PAGE / "tiny_gpt2.py", checkpoint("tiny-gpt2"), model).returncode == 0
    folder = build("tiny-gpt2", "bounded")
    done = run("-m", "gsic.onnx", model, folder, patched, "--mode", "exact")
    assert done.stdout == f"{patched}: 17 linears are gsic's\n"
    texts = [run(PAGE / "run.py", library, one, 5, 17, 3).stdout for one in (model, patched)]
    assert len(texts[0].split()) == 23 and texts[0] == texts[1]
    refused = run("-m", "gsic.onnx", patched, folder, tmp_path / "again.onnx")
    assert refused.returncode == 1 and "none of its linears is one of the model" in refused.stderr
    refused = run("-m", "gsic.onnx", model, folder, tmp_path / "other.onnx", "--mode", "fast")
    assert refused.returncode == 1 and "modes are" in refused.stderr


def test_constants_of_a_large_model_are_saved_beside_it(gpt2, tmp_path, monkeypatch):
    monkeypatch.setattr(gsic.onnx, "_LARGEST_MESSAGE", 0)
    path, expected = tmp_path / "large.onnx", gpt2.SerializeToString()
    for _ in range(2):  # the second takes the place of the first
        gsic.onnx.save(onnx.load_from_string(expected), path)
    assert path.stat().st_size < len(expected) / 10 and Path(f"{path}.data").stat().st_size < len(expected) * 1.1
    tensors = zip(onnx.load(path).graph.initializer, gpt2.graph.initializer, strict=True)
    assert all(np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other)) for one, other in tensors)


def test_the_interface_is_the_official_one():
    folders = [os.environ.get("GSIC_ONNXRUNTIME_INCLUDE", ""), "/usr/include/onnxruntime"]
    found = next((one for one in folders if one and Path(one, "onnxruntime_c_api.h").exists()), None)
    if found is None:
        pytest.skip("no onnxruntime_c_api.h; GSIC_ONNXRUNTIME_INCLUDE may name its folder")
    source = ROOT / "runtime/onnxruntime/check/abi.cpp"
    subprocess.run(["g++", "-std=c++17", "-fsyntax-only", "-isystem", found, str(source)], check=True)
