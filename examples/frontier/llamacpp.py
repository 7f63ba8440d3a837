"""llama.cpp as a peer: its GGUF files of the bf16 model, made by its own quantiser, and its logits.

Needs numpy, gguf and llama-cpp-python.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import llama_cpp
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import quantize

from tensors import Floats, Json
from weights import LAYER_PARTS, OUTSIDE

# As llama-quantize names them.
TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "Q4_K_M", "Q5_K_M")
# Types that may be asked for `pure`: those that this model's rows, of 576, are whole blocks of.
PURE = ("Q4_0", "Q4_1", "Q5_0", "Q5_1")
# Types that the gguf package has a quantiser of its own for.
COMPARED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
# Fields that the writer, or the quantiser, writes.
NOT_COPIED = ("general.architecture", "general.file_type", "general.quantization_version")


class LlamaCppFailed(Exception):
    """llama.cpp did not do what it was asked for, or not what it should."""


def side_by_side(rows: Floats, heads: int) -> Floats:
    """llama.cpp's order of the rows of q and k: undone by weights.separate_halves."""
    halves = rows.reshape(heads, 2, -1, rows.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def gguf_tensors(tensors: dict[str, Floats], config: Json) -> dict[str, Floats]:
    """The tensors by llama.cpp's names, in its order of rows."""
    result = {ours: tensors[theirs] for ours, theirs in OUTSIDE.items()}
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for layer in range(config["num_hidden_layers"]):
        for part, theirs in LAYER_PARTS.items():
            value = tensors[f"model.layers.{layer}.{theirs}.weight"]
            if part in heads:
                value = side_by_side(value, heads[part])
            result[f"blk.{layer}.{part}.weight"] = value
    return result


def write_gguf(path: Path, original: Path, tensors: dict[str, Floats]) -> None:
    """A GGUF file in f32, with the metadata of the original file: bf16 values lose nothing."""
    writer = GGUFWriter(path, "llama")
    for field in GGUFReader(original).fields.values():
        if field.name.startswith("GGUF.") or field.name in NOT_COPIED:
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@llama_cpp.llama_log_callback
def say_nothing(_level: int, _text: bytes, _data: object) -> None:
    """llama.cpp logs every tensor."""


def importance_array(importance: Mapping[str, Floats]) -> ctypes.Array[ctypes.Structure]:
    """What llama-imatrix finds, E[x_i^2] of each matrix's input, as llama.cpp's interface takes it."""
    array = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()  # the last: no name
    for entry, (name, value) in zip(array, importance.items()):
        data = (ctypes.c_float * value.size)(*value.astype(np.float32))
        entry.name, entry.size = name.encode(), value.size
        entry.data = ctypes.cast(data, ctypes.POINTER(ctypes.c_float))  # keeps data alive
    return array


def quantise(
    source: Path,
    target: Path,
    kind: str,
    pure: bool = False,
    importance: Mapping[str, Floats] | None = None,
) -> None:
    """llama_model_quantize with its defaults, which is what llama-quantize calls.

    `pure` gives every matrix, the head too, the type; `importance` has E[x_i^2] of matrices' inputs,
    by llama.cpp's names.
    """
    llama_cpp.llama_log_set(say_nothing, ctypes.c_void_p(0))
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = 2
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    if pure:
        parameters.pure = True
        parameters.token_embedding_type = GGMLQuantizationType[kind].value
    if importance:
        parameters.imatrix = importance_array(importance)
    status = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(parameters)
    )
    if status != 0:
        raise LlamaCppFailed(f"llama.cpp could not quantise {source} to {kind}")


def account(path: Path) -> tuple[int, dict[str, int]]:
    """Bytes of the matrices that a token is multiplied by, and how many weights have which type.

    All matrices of the file are linears: the embedding is the head, too. Norms are vectors.
    """
    total = 0
    kinds: Counter[str] = Counter()
    for tensor in GGUFReader(path).tensors:
        if len(tensor.shape) > 1:
            total += int(tensor.n_bytes)
            kinds[tensor.tensor_type.name] += int(tensor.n_elements)
    return total, dict(kinds.most_common())


def check_quantiser(path: Path, tensors: dict[str, Floats]) -> None:
    """Compares a layer's matrices with the gguf package's quantiser, bit for bit."""
    for tensor in GGUFReader(path).tensors:
        if tensor.tensor_type.name not in COMPARED or not tensor.name.startswith("blk.0."):
            continue
        expected = quantize(tensors[tensor.name], tensor.tensor_type)
        if not np.array_equal(tensor.data, expected):
            raise LlamaCppFailed(f"{path}: {tensor.name} is not what the gguf package makes of it")


def logits(path: Path, window: list[int]) -> Floats:
    """llama.cpp's own logits [tokens, vocabulary] of one sequence."""
    count = len(window)
    model = llama_cpp.Llama(
        str(path), n_ctx=count, n_batch=count, n_threads=2, logits_all=True, verbose=False
    )
    model.eval(window)
    found = np.array(model.scores[:count], np.float32)
    model.close()
    return found
