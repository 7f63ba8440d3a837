"""Writes a GPT-2 checkpoint as an ONNX model: tiny_gpt2.py CHECKPOINT OUT.onnx, ids [batch, tokens] to logits."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The bf16 tensors of a safetensors file, as f32."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:begin]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            stored = np.frombuffer(data[begin + first : begin + last], np.uint16)
            tensors[name] = (stored.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
    return tensors


class Gpt2:
    """A graph in the making: each method adds nodes, and returns the name of their value."""

    def __init__(self, tensors: dict[str, np.ndarray], heads: int):
        self.tensors, self.heads = tensors, heads
        self.nodes, self.constants = [], {}

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes) -> str | list[str]:
        names = [f"{operator}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, name: str, value: np.ndarray | None = None) -> str:
        value = self.tensors[name] if value is None else value
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def linear(self, x: str, name: str) -> str:
        product = self.node("MatMul", x, self.constant(f"{name}.weight"))
        return self.node("Add", product, self.constant(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        gain, bias = self.constant(f"{name}.weight"), self.constant(f"{name}.bias")
        return self.node("LayerNormalization", x, gain, bias, axis=-1, epsilon=1e-5)

    def layer(self, h: str, name: str) -> str:
        joined = self.linear(self.norm(h, f"{name}.ln_1"), f"{name}.attn.c_attn")
        query, key, value = self.node("Split", joined, outputs=3, axis=-1, num_outputs=3)
        heads = {"q_num_heads": self.heads, "kv_num_heads": self.heads}
        attended = self.node("Attention", query, key, value, is_causal=1, **heads)
        h = self.node("Add", h, self.linear(attended, f"{name}.attn.c_proj"))
        inner = self.node("Gelu", self.linear(self.norm(h, f"{name}.ln_2"), f"{name}.mlp.c_fc"), approximate="tanh")
        return self.node("Add", h, self.linear(inner, f"{name}.mlp.c_proj"))


def gpt2_model(checkpoint: Path) -> onnx.ModelProto:
    """ids [batch, tokens] i64 to logits [batch, tokens, vocabulary] f32."""
    config = json.loads((checkpoint / "config.json").read_text())
    graph = Gpt2(read_tensors(checkpoint / "model.safetensors"), config["n_head"])
    table = graph.constant("transformer.wte.weight")
    one, zero = graph.constant("one", np.array([1])), graph.constant("zero", np.array([0]))
    tokens = graph.node("Shape", "ids", start=1, end=2)
    positions = graph.node("Slice", graph.constant("transformer.wpe.weight"), zero, tokens, zero, one)
    h = graph.node("Add", graph.node("Gather", table, "ids"), positions)
    for layer in range(config["n_layer"]):
        h = graph.layer(h, f"transformer.h.{layer}")
    head = graph.node("Transpose", table, perm=[1, 0])
    graph.nodes.append(helper.make_node("MatMul", [graph.norm(h, "transformer.ln_f"), head], ["logits"], name="logits"))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "tokens", config["vocab_size"]])
    made = helper.make_graph(graph.nodes, "gpt2", [ids], [logits], list(graph.constants.values()))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


if __name__ == "__main__":
    onnx.save(gpt2_model(Path(sys.argv[1])), sys.argv[2])
