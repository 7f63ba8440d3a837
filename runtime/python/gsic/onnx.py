"""
Swaps the linears of an ONNX model for those of a gsic build, as operators `gsic::Linear` that the library in
runtime/onnxruntime adds to ONNX Runtime: python -m gsic.onnx MODEL.onnx BUILD OUT.onnx [--mode MODE]
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .errors import GsicError
from .linears import Linears
from .matching import Match, by_tensor, join
from .model import Model

DOMAIN = "gsic"
_LARGEST_MESSAGE = 1 << 30
"""Bytes of constants that a file of a model holds itself; the format ends at twice as many."""
_PROBES = 2
_LARGEST_DIFFERENCE = 1e-3
"""Of the largest output: what the rounding of exported weights to f16 may do."""


@dataclass
class Patched:
    """What `patch` did to a model."""

    swapped: dict[str, str]
    """Tensors of the build by the value of the graph that they compute now."""
    left: list[str]
    """Values of products with a constant matrix that the build has no counterpart of."""


@dataclass
class _Product:
    """x W, or x W + b: nodes of a graph that one linear can stand for."""

    nodes: list[onnx.NodeProto]
    x: str
    y: str
    weight: np.ndarray
    """[d, out]"""
    bias: np.ndarray | float


def patch(model: onnx.ModelProto, build, mode: str | None = None) -> Patched:
    """
    Swaps, in place, every MatMul and Gemm by a constant f32 matrix that a linear of the build computes, with the Add of a
    constant bias behind it. Linears are found by what they compute, in exact mode on random input, not by their names,
    which exporters change. Those that read one value, and that the build computes together, become one node. Weights that
    nothing else reads are removed. `build` is the folder of a build, which the nodes name by its whole path; `mode` is as
    in gsic.h. ValueError if nothing fits, GsicError if the build cannot be opened.
    """
    folder = Path(build).resolve()
    opened = Model(folder)
    if mode is not None:
        Linears(opened, mode).close()
    graph = _Graph(model.graph)
    linears = _Known(opened)
    found, left = [], []
    for node in model.graph.node:
        products = graph.products(node)
        if products is None:
            continue
        fits = ((product, linears.find(product)) for product in products)
        match = next(((product, tensor) for product, tensor in fits if tensor is not None), None)
        if match is not None:
            found.append(match)
        else:
            left.append(node.output[0])
    if not found:
        what = "none of its linears is one of the model, with weights in f32"
        raise ValueError(f"{folder}: {what}; build it from the same checkpoint")
    together = defaultdict(list)
    for product, tensor in found:
        together[product.x, linears.matches[tensor].call].append((product, tensor))
    attributes = {"build": str(folder)} | ({} if mode is None else {"mode": mode})
    for members in together.values():
        graph.swap(members, attributes)
    graph.prune()
    if all(one.domain != DOMAIN for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return Patched({product.y: tensor for product, tensor in found}, left)


class _Known:
    """The tensors of a build with what they compute of the same random x."""

    def __init__(self, model: Model):
        linears = Linears(model, "exact")
        joined = {tensor: join(parts) for tensor, parts in by_tensor(linears.all).items()}
        self.matches: dict[str, Match] = {tensor: match for tensor, match in joined.items() if match is not None}
        self._x: dict[int, np.ndarray] = {}
        self._y: dict[str, np.ndarray] = {}
        for tensor, match in self.matches.items():
            x = self._probe(match.d)
            y: np.ndarray = np.empty((_PROBES, linears.shapes[match.call][1]), np.float32)
            linears.run(match.call, x.ctypes.data, _PROBES, y.ctypes.data)
            self._y[tensor] = y[:, match.column : match.column + match.out]
        linears.close()

    def find(self, product: _Product) -> str | None:
        """The tensor whose linear computes a product; None if there is none."""
        d, out = product.weight.shape
        expected = self._probe(d) @ product.weight + product.bias
        limit = _LARGEST_DIFFERENCE * np.abs(expected).max()
        for tensor, match in self.matches.items():
            if (match.d, match.out) == (d, out) and np.abs(self._y[tensor] - expected).max() <= limit:
                return tensor
        return None

    def _probe(self, d: int) -> np.ndarray:
        if d not in self._x:
            self._x[d] = np.random.default_rng(d).standard_normal((_PROBES, d)).astype(np.float32)
        return self._x[d]


class _Graph:
    """A graph whose products are looked at and swapped."""

    def __init__(self, graph: onnx.GraphProto):
        self.graph = graph
        self.initializers = {one.name: one for one in graph.initializer}
        self.producers = {name: node for node in graph.node for name in node.output}
        self.readers = {name: node for node in graph.node for name in node.input}
        self.reads = Counter(_names_read(graph)) + Counter(one.name for one in graph.output)
        self.read: set[str] = set()
        """Constants whose values were asked for."""

    def products(self, node: onnx.NodeProto) -> list[_Product] | None:
        """What a linear that begins at a node may compute, the largest first; None if it is no product by a matrix."""
        if node.domain not in ("", "ai.onnx") or node.op_type not in ("MatMul", "Gemm"):
            return None
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        weight = self._constant(node.input[1])
        if weight is None or weight.ndim != 2:
            return None
        if weight.dtype != np.float32:
            return []
        if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1:
            return []
        weight = weight.T if attributes.get("transB", 0) else weight
        if len(node.input) > 2 and node.input[2]:
            bias = self._bias(node.input[2], weight)
            return [] if bias is None else [_Product([node], node.input[0], node.output[0], weight, bias)]
        alone = _Product([node], node.input[0], node.output[0], weight, 0.0)
        add = self._only_reader(node.output[0])
        if add is None or add.op_type != "Add" or add.domain not in ("", "ai.onnx"):
            return [alone]
        bias = self._bias(add.input[1 if add.input[0] == node.output[0] else 0], weight)
        if bias is None:
            return [alone]
        return [_Product([node, add], node.input[0], add.output[0], weight, bias), alone]

    def swap(self, members: list[tuple[_Product, str]], attributes: dict[str, str]) -> None:
        """Puts one node for products of one value where the first of them stands."""
        products = [product for product, _ in members]
        weights = " ".join(tensor for _, tensor in members)
        outputs = [product.y for product in products]
        first = products[0].nodes[0]
        node = helper.make_node(
            "Linear", [products[0].x], outputs, name=first.name, domain=DOMAIN, weights=weights, **attributes
        )
        self.graph.node.insert(_position(self.graph.node, first), node)
        for product in products:
            for one in product.nodes:
                del self.graph.node[_position(self.graph.node, one)]

    def prune(self) -> None:
        """Removes what nothing reads any more: constants, the nodes that made them, types of values."""
        kept = {one.name for one in self.graph.output}
        while True:
            used = kept | set(_names_read(self.graph))
            values = [set(node.output) for node in self.graph.node]
            dead = [i for i, made in enumerate(values) if made & self.read and not made & used]
            for i in reversed(dead):
                del self.graph.node[i]
            if not dead:
                break
        _keep(self.graph.initializer, lambda one: one.name not in self.read or one.name in used)
        _keep(self.graph.input, lambda one: one.name not in self.read or one.name in used)
        made = {name for node in self.graph.node for name in node.output}
        _keep(self.graph.value_info, lambda one: one.name in made or one.name in used)

    def _constant(self, name: str) -> np.ndarray | None:
        """The value of an initializer, of a Constant, or of one of these transposed; None if it is none of them."""
        node = self.producers.get(name)
        value = None
        if name in self.initializers:
            value = numpy_helper.to_array(self.initializers[name])
        elif node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
            value = numpy_helper.to_array(node.attribute[0].t)
        elif node is not None and node.op_type in ("Identity", "Transpose"):
            value = self._constant(node.input[0])
            if value is not None and node.op_type == "Transpose":
                order = [list(one.ints) for one in node.attribute if one.name == "perm"]
                value = value.transpose(*order)
        if value is not None:
            self.read.add(name)
        return value

    def _bias(self, name: str, weight: np.ndarray) -> np.ndarray | None:
        value = self._constant(name)
        if value is None or value.size != weight.shape[1] or value.shape[-1:] != weight.shape[1:]:
            return None
        return value.reshape(-1)

    def _only_reader(self, name: str) -> onnx.NodeProto | None:
        """The node that alone reads a value, once; None if there are others, or the graph gives it out."""
        return self.readers.get(name) if self.reads[name] == 1 else None


def _names_read(graph: onnx.GraphProto) -> Iterator[str]:
    """The values that nodes read, graphs inside of nodes and what these give out included."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs] if attribute.type in _GRAPHS else []:
                yield from _names_read(inner)
                yield from (one.name for one in inner.output)


_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def _position(nodes, wanted: onnx.NodeProto) -> int:
    return next(i for i, node in enumerate(nodes) if node is wanted)


def _keep(list_of_messages, condition) -> None:
    for i in reversed(range(len(list_of_messages))):
        if not condition(list_of_messages[i]):
            del list_of_messages[i]


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes a model; if it is too large for one file, its constants to PATH.data beside it, and `model` loses them."""
    size = sum(len(one.raw_data) for one in model.graph.initializer)
    data = Path(f"{path}.data")
    data.unlink(missing_ok=True)
    onnx.save(model, path, save_as_external_data=size > _LARGEST_MESSAGE, location=data.name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gsic.onnx", description="Swaps the linears of an ONNX model.")
    parser.add_argument("model", type=Path, help="the ONNX model")
    parser.add_argument("build", type=Path, help="the folder of a build of the same checkpoint")
    parser.add_argument("out", type=Path, help="where the model with gsic's linears goes")
    parser.add_argument("--mode", help="exact or bounded; else the build's default")
    options = parser.parse_args()
    try:
        model = onnx.load(options.model)
        done = patch(model, options.build, options.mode)
        save(model, options.out)
    except (OSError, ValueError, GsicError) as error:
        print(f"gsic.onnx: {error}", file=sys.stderr)
        return 1
    left = f"; left as they are: {', '.join(done.left)}" if done.left else ""
    print(f"{options.out}: {len(done.swapped)} linears are gsic's{left}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
