"""Tensors that codecs get wrong: every dtype, awkward shapes, layouts and values.

A specimen is a recipe, not an array: its repr is Python that makes the same array anywhere, so a
message that holds one is all that it takes to see a failure again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.stream import frame

Fill = Callable[[np.random.Generator, int, np.dtype[Any]], Array]

#: Names of the dtypes in each domain of a codec.
DTYPES = {
    "integers": ("int8", "int16", "int32", "uint8", "uint16", "uint32"),
    "floats": ("float16", "bfloat16", "float32", "float64"),
}

_SIZES = (1, 2, 3, 31, 33, 640, 4097)
_SHAPES = ((), (0,), (3, 0, 2), (1,), (1, 1, 1), (7, 3), (2, 3, 4, 5))


@dataclass(frozen=True)
class Specimen:
    """One tensor: what it holds (`KINDS`), and how it lies in memory (`LAYOUTS`)."""

    dtype: str
    kind: str
    shape: tuple[int, ...]
    layout: str = "C"
    seed: int = 0

    def array(self) -> Array:
        """Make the tensor."""
        dtype = np.dtype(ml_dtypes.bfloat16 if self.dtype == "bfloat16" else self.dtype)
        fill = KINDS[self.kind]
        with np.errstate(all="ignore"):  # overflow to infinity is what some kinds are for
            flat = fill(np.random.default_rng(self.seed), math.prod(self.shape), dtype)
        return LAYOUTS[self.layout](flat.astype(dtype, copy=False).reshape(self.shape))


def of_values(dtypes: Sequence[str], seed: int = 0) -> Iterator[Specimen]:
    """Yield every kind of values in every dtype that can hold it, few values before many."""
    for size in _SIZES:
        for dtype in dtypes:
            for kind in KINDS:
                if kind != "special" or dtype in DTYPES["floats"]:
                    yield Specimen(dtype, kind, (size,), seed=seed)


def of_shapes(dtypes: Sequence[str]) -> Iterator[Specimen]:
    """Empty, 0-d and of many dimensions."""
    for shape in _SHAPES:
        for dtype in dtypes:
            yield Specimen(dtype, "bell", shape)


def of_layouts(dtypes: Sequence[str]) -> Iterator[Specimen]:
    """Yield every order in memory that NumPy knows."""
    for shape in ((5,), (6, 10)):
        for layout in LAYOUTS:
            for dtype in dtypes:
                if dtype != "bfloat16" or "big-endian" not in layout:  # NumPy has no such dtype
                    yield Specimen(dtype, "heavy tails", shape, layout)


def of_orders(dtypes: Sequence[str]) -> Iterator[Specimen]:
    """Yield what lies in one block of memory: the layouts that a buffer can have."""
    for specimen in of_layouts(dtypes):
        flags = specimen.array().flags
        if flags.c_contiguous or flags.f_contiguous:
            yield specimen
            yield replace(specimen, shape=(2, *specimen.shape, 3))


def large(dtypes: Sequence[str]) -> Iterator[Specimen]:
    """More than two chunks of our stream format."""
    shape = (3 * frame.CHUNK + 5,)
    for dtype in dtypes:
        yield Specimen(dtype, "bell", shape)
    for kind in ("heavy tails", "distinct"):
        yield Specimen(dtypes[-1], kind, shape)


def _centre(dtype: np.dtype[Any]) -> int:
    """0, or the middle of an unsigned range."""
    return 1 << 8 * dtype.itemsize - 1 if dtype.kind == "u" else 0


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    """Real values as `dtype`: integers are rounded, centred and held within the limits."""
    if dtype.kind not in "iu":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    held: Array = np.clip(np.rint(values) + _centre(dtype), limits.min, limits.max)
    return held.astype(dtype)


def _ends(dtype: np.dtype[Any]) -> Array:
    """Return the smallest and the largest value."""
    limits: Any = (np.iinfo if dtype.kind in "iu" else ml_dtypes.finfo)(dtype)
    return np.array([limits.min, limits.max], dtype)


def _special(_rng: np.random.Generator, n: int, dtype: np.dtype[Any]) -> Array:
    """Zeros with signs, infinities, NaNs quiet and signalling with payloads, subnormals."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    plain = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0], dtype).view(unsigned)
    bits = np.concatenate([plain, plain + unsigned.type(1), ~plain, np.array([2, 3], unsigned)])
    return np.resize(bits, n).view(dtype)


#: What a tensor may hold.
KINDS: dict[str, Fill] = {
    "constant": lambda rng, n, dtype: np.full(n, 7, dtype),
    "lowest": lambda rng, n, dtype: np.full(n, _ends(dtype)[0], dtype),
    "extremes": lambda rng, n, dtype: np.resize(_ends(dtype), n),
    "bell": lambda rng, n, dtype: _rounded(rng.laplace(0, 3, n), dtype),
    "sparse": lambda rng, n, dtype: _rounded(rng.laplace(0, 9, n) * (rng.random(n) < 0.05), dtype),
    "heavy tails": lambda rng, n, dtype: _rounded(4 * rng.standard_cauchy(n) ** 3, dtype),
    "distinct": lambda rng, n, dtype: (np.arange(n) * 1009).astype(dtype),
    "noise": lambda rng, n, dtype: np.frombuffer(rng.bytes(n * dtype.itemsize), dtype),
    "special": _special,
}

#: How it may lie in memory.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.array,
    "Fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "big-endian Fortran": lambda a: np.asfortranarray(a).astype(a.dtype.newbyteorder(">")),
}
