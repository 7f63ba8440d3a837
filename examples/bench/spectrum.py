"""Weights with planted activation spectra, for make_model.py; needs numpy.

Whatever writes to the residual stream (embeddings, the last matrix of attention and of the MLP) writes U diag(s) c + tail:
`rank` orthonormal directions U, the same everywhere, with strengths s that decay as 1 / sqrt(index), and white noise
that has the fraction `tail` of the length. So hidden states are low-rank plus a tail, as those of trained models are, and
the gates of bounded mode have something to find. All other matrices are white.
"""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Tensors whose rows, or columns, are vectors of the residual stream.
ROWS = re.compile(r"(wte|wpe|embed_tokens|embed_positions|c_proj)\.weight$")
COLUMNS = re.compile(r"(out_proj|fc_out|fc2|o_proj|down_proj)\.weight$")
BLOCK = 4 << 20


class Planted:
    def __init__(self, seed, hidden, rank, tail):
        self.seed, self.tail = seed, tail / np.sqrt(hidden)
        basis, _ = np.linalg.qr(self.source("directions").standard_normal((hidden, rank)))
        strengths = 1 / np.sqrt(np.arange(1, rank + 1))
        strengths *= np.sqrt((1 - tail * tail) / np.sum(strengths**2))
        self.directions = (basis * strengths).astype(np.float32)
        self.pool = ThreadPoolExecutor(os.cpu_count())

    def source(self, *names):
        """Random numbers that depend on seed and names alone."""
        text = " ".join(map(str, (self.seed, *names)))
        return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))

    def chunks(self, name, shape, is_gain):
        """The tensor's bf16 bytes, a few megabytes at a time."""
        rows, width = shape[0], shape[1] if len(shape) > 1 else 1
        step = max(1, BLOCK // width)
        shared = None
        if COLUMNS.search(name):
            # One set of coefficients for all blocks of rows: a column is one vector of the residual.
            shape_of = (self.directions.shape[1], width)
            shared = self.source(name, "coefficients").standard_normal(shape_of, dtype=np.float32)
        starts = list(range(0, rows, step))

        def make(first):
            count = min(step, rows - first)
            return bf16(self.values(name, first, count, rows, width, len(shape), is_gain, shared))

        # A few at a time: all of them would be the whole tensor.
        for begin in range(0, len(starts), 4):
            yield from self.pool.map(make, starts[begin : begin + 4])

    def values(self, name, first, count, rows, width, dimensions, is_gain, shared):
        source = self.source(name, first)
        noise = source.standard_normal((count, width), dtype=np.float32)
        if dimensions == 1:
            return 1 + 0.1 * noise if is_gain else 0.02 * noise
        if shared is not None:
            mixed = self.directions[first : first + count] @ shared
            return (mixed + noise * np.float32(self.tail)) * np.float32(1 / np.sqrt(width))
        if ROWS.search(name):
            parts = source.standard_normal((count, self.directions.shape[1]), dtype=np.float32)
            mixed = parts @ self.directions.T + noise * np.float32(self.tail)
            return mixed if "c_proj" not in name else mixed * np.float32(1 / np.sqrt(rows))
        return noise / np.float32(np.sqrt(rows if "c_" in name else width))


def bf16(values):
    """To nearest, ties to even."""
    words = np.ascontiguousarray(values).view(np.uint32)
    return ((words + 0x7FFF + ((words >> 16) & 1)) >> 16).astype("<u2").tobytes()
