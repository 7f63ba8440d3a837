"""The linears of a build as a PyTorch operator, `torch.ops.gsic.linear`, opaque to torch.compile."""

import threading
from dataclasses import dataclass, field

import torch

from .library import Linears


@dataclass
class _Shared:
    """What a call computed for the linears that have not asked for it yet."""

    x: torch.Tensor
    version: int
    y: torch.Tensor
    asked: set[int]


@dataclass
class _Runner:
    linears: Linears
    lock: threading.RLock = field(default_factory=threading.RLock)
    shared: dict[int, _Shared] = field(default_factory=dict)


_runners: list[_Runner | None] = []


def register(linears: Linears) -> int:
    """A number by which `gsic::linear` finds opened linears."""
    _runners.append(_Runner(linears))
    return len(_runners) - 1


def release(number: int) -> None:
    """Closes what `register` was given; its number is not used again."""
    runner, _runners[number] = _runners[number], None
    if runner is not None:
        runner.linears.close()


def _compute(linears: Linears, call: int, x: torch.Tensor, width: int) -> torch.Tensor:
    """y [columns, width] f32 of a whole call, on x's device."""
    rows = x.detach().reshape(-1, x.shape[-1]).to(torch.float32).contiguous()
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


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (a.data_ptr(), a.shape, a.stride(), a.dtype) == (b.data_ptr(), b.shape, b.stride(), b.dtype)


def _shared(runner: _Runner, x: torch.Tensor, call: int, column: int, width: int) -> torch.Tensor:
    """
    The call's y. Query, key and value ask for it one after another with the same x: the first computes it, the others
    take it. It is forgotten when one of them asks again, and when x is another tensor or was written to.
    """
    version = 0 if x.is_inference() else x._version
    known = runner.shared.get(call)
    if known is None or column in known.asked or known.version != version or not _same(known.x, x):
        y = _compute(runner.linears, call, x, width)
        # Holding x keeps its memory from being given to another tensor.
        known = runner.shared[call] = _Shared(x, version, y, set())
    known.asked.add(column)
    return known.y


@torch.library.custom_op("gsic::linear", mutates_args=())
def linear(x: torch.Tensor, runner: int, call: int, column: int, out: int, width: int, sharers: int) -> torch.Tensor:
    """
    W x + b for x [..., d]: [..., out] of x's type. `column` to `column + out` of the `width` columns that `call` of
    registered linears computes, and `sharers` modules share. Inference alone: it has no derivative.
    """
    found = _runners[runner]
    if found is None:
        raise RuntimeError("gsic::linear: the model was restored, its linears are closed")
    with found.lock:
        if sharers == 1:
            y = _compute(found.linears, call, x, width)
        else:
            y = _shared(found, x, call, column, width)
            if len(found.shared[call].asked) == sharers:
                del found.shared[call]
    part = y[:, column : column + out].to(x.dtype, copy=True)
    return part.reshape(*x.shape[:-1], out)


@linear.register_fake
def _(x, runner, call, column, out, width, sharers):
    return x.new_empty((*x.shape[:-1], out))
