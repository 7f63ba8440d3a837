"""
The linears of a build as a PyTorch operator, `torch.ops.gsic.linear`, opaque to torch.compile. Its kernel for CPUs is
compiled (native.py); the one for GPUs, which queues gsic's kernels on PyTorch's stream, is here.
"""

import threading
from dataclasses import dataclass, field

import torch

from . import native
from .linears import Linears

NAMESPACE = __name__.rpartition(".")[0].replace(".", "_")
"""The operator's namespace in torch.ops: the package's name, since several versions of it may be loaded by file."""


@dataclass
class _Shared:
    """What a call computed, on a GPU, for the linears that have not asked for it yet."""

    x: torch.Tensor
    """x itself, since comparing values would wait: held, its memory is no other tensor's."""
    version: int
    y: torch.Tensor
    asked: set[int]


@dataclass
class _Runner:
    linears: Linears
    lock: threading.Lock = field(default_factory=threading.Lock)
    shared: dict[int, _Shared] = field(default_factory=dict)


_runners: dict[int, _Runner] = {}


def register(linears: Linears) -> int:
    """A number by which the operator finds opened linears."""
    number = native.register(linears)
    _runners[number] = _Runner(linears)
    return number


def release(number: int) -> None:
    """Closes what `register` was given; its number is not used again."""
    native.release(number)
    runner = _runners.pop(number, None)
    if runner is not None:
        with runner.lock:
            runner.linears.close()


def compute(linears: Linears, call: int, x: torch.Tensor) -> torch.Tensor:
    """
    y [columns, width] f32 of a whole call for x [..., d], on x's device. RuntimeError if x is of another width or not of
    a floating type, or on a device that gsic does not run on.
    """
    d, width = linears.shapes[call]
    if x.shape[-1:] != (d,) or not x.is_floating_point():
        raise RuntimeError(f"gsic::linear: x is {x.dtype} {list(x.shape)}, expected floating numbers [..., {d}]")
    rows = x.detach().reshape(-1, d).to(torch.float32).contiguous()
    y = torch.empty((rows.shape[0], width), dtype=torch.float32, device=x.device)
    if rows.device.type == "cpu":
        linears.run(call, rows.data_ptr(), rows.shape[0], y.data_ptr())
    elif rows.device.type == "cuda" and rows.device.index == 0:  # AMD's devices are called so too
        stream = torch.cuda.current_stream(rows.device)
        rows.record_stream(stream)
        linears.enqueue(call, rows.data_ptr(), rows.shape[0], y.data_ptr(), stream.cuda_stream)
    else:
        raise RuntimeError(f"gsic::linear: x is on {x.device}; gsic runs on the CPU, or on the first GPU")
    return y


def _version(x: torch.Tensor) -> int:
    """Counts the writes to a tensor; those of inference mode are not counted."""
    return 0 if x.is_inference() else x._version


def _was_for(known: _Shared, x: torch.Tensor) -> bool:
    """Whether `known` was computed for this x."""
    before = known.x
    place = (x.data_ptr(), x.device, x.dtype, x.shape, x.stride(), _version(x))
    return place == (before.data_ptr(), before.device, before.dtype, before.shape, before.stride(), known.version)


def _compute_shared(runner: _Runner, x: torch.Tensor, call: int, column: int, sharers: int) -> torch.Tensor:
    """
    The call's y. Query, key and value ask for it one after another with the same x: the first computes it, the others
    take it. It is forgotten when all have asked, when one of them asks again, and when x is another.
    """
    known = runner.shared.get(call)
    if known is None or column in known.asked or not _was_for(known, x):
        y = compute(runner.linears, call, x)
        known = runner.shared[call] = _Shared(x, _version(x), y, set())
    known.asked.add(column)
    if len(known.asked) == sharers:
        del runner.shared[call]
    return known.y


def _linear_on_gpu(x: torch.Tensor, runner: int, call: int, column: int, out: int, sharers: int) -> torch.Tensor:
    found = _runners.get(runner)
    if found is None:
        raise RuntimeError("gsic::linear: the model was restored, its linears are closed")
    if sharers == 1:
        y = compute(found.linears, call, x)
    else:
        with found.lock:
            y = _compute_shared(found, x, call, column, sharers)
    part = y[:, column : column + out].to(x.dtype, copy=True)
    return part.reshape(*x.shape[:-1], out)


def _linear_without_values(
    x: torch.Tensor, runner: int, call: int, column: int, out: int, sharers: int
) -> torch.Tensor:
    return x.new_empty((*x.shape[:-1], out))


native.define(NAMESPACE)
torch.library.impl(f"{NAMESPACE}::linear", "cuda", _linear_on_gpu)
torch.library.register_fake(f"{NAMESPACE}::linear", _linear_without_values)

_operator = getattr(torch.ops, NAMESPACE).linear.default


def linear(x: torch.Tensor, runner: int, call: int, column: int, out: int, sharers: int) -> torch.Tensor:
    """
    W x + b for x [..., d]: [..., out] of x's type. `column` to `column + out` of the columns that `call` of registered
    linears computes, and `sharers` modules share. Inference alone: it has no derivative. RuntimeError as `compute`, where
    the runtime fails, and where the linears were closed.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return _WithoutDerivative.apply(x, runner, call, column, out, sharers)
    return _operator(x, runner, call, column, out, sharers)


class _WithoutDerivative(torch.autograd.Function):
    """Says so when the derivative is asked for; PyTorch by itself would leave it out with a warning."""

    @staticmethod
    def forward(ctx, x, *arguments):
        return _operator(x, *arguments)

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError("gsic::linear has no derivative: a build is for inference; restore the model to train it")
