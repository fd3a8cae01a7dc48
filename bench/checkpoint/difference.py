"""Which tensors of two checkpoints differ, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.plain_header import Tensor

_BLOCK = 1 << 20  # values compared at a time


class HeldTensor(Protocol):
    """A tensor that is read when it is asked for."""

    @property
    def entry(self) -> Tensor:
        """Return type and shape."""

    def raw(self) -> npt.NDArray[np.uint8]:
        """Return its bytes."""


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """How one tensor differs. Figures are None where the values are no numbers.

    values: how many differ in their bits; of types that NumPy has no name for, how many bytes do.
    largest: the largest distance. relative: the root mean square of the distances, over that of the
    old values.
    """

    name: str
    kind: str  # "values", "type or shape", "only in the old one", "only in the new one"
    old: Tensor | None
    new: Tensor | None
    values: int = 0
    largest: float | None = None
    relative: float | None = None


def differences(
    old: Mapping[str, HeldTensor], new: Mapping[str, HeldTensor]
) -> Iterator[TensorDifference]:
    """Yield what differs, by name. Tensors of the same bits are left out.

    Raises CorruptFile.
    """
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield TensorDifference(name, "only in the old one", old[name].entry, None)
        elif name not in old:
            yield TensorDifference(name, "only in the new one", None, new[name].entry)
        else:
            one, other = old[name].entry, new[name].entry
            if (one.dtype, one.shape) != (other.dtype, other.shape):
                yield TensorDifference(name, "type or shape", one, other)
                continue
            was, became = old[name].raw(), new[name].raw()
            if not np.array_equal(was, became):
                yield _of_values(name, one, other, was, became)


def _of_values(
    name: str, old: Tensor, new: Tensor, was: npt.NDArray[Any], became: npt.NDArray[Any]
) -> TensorDifference:
    dtype = plain_header.DTYPES[old.dtype].numpy
    if dtype is None:
        return TensorDifference(name, "values", old, new, int(np.count_nonzero(was != became)))
    width = np.dtype(dtype).itemsize
    values, largest, squares, size = 0, 0.0, 0.0, 0.0
    for begin in range(0, was.size, _BLOCK * width):
        end = begin + _BLOCK * width
        bits = [each[begin:end].reshape(-1, width) for each in (was, became)]
        values += int(np.count_nonzero((bits[0] != bits[1]).any(1)))
        with np.errstate(invalid="ignore", over="ignore"):
            a, b = (_as_numbers(each[begin:end].view(dtype)) for each in (was, became))
            distances = np.abs(b - a)
            distances[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
            distances[np.isnan(distances)] = np.inf
            largest = max(largest, float(distances.max(initial=0.0)))
            squares += float(np.square(distances).sum())
            size += float(np.square(a[np.isfinite(a)]).sum())
    relative = float(np.sqrt(squares / size)) if size else (float("inf") if squares else 0.0)
    return TensorDifference(name, "values", old, new, values, largest, relative)


def _as_numbers(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if values.dtype.kind == "c":
        values = values.view(np.float32)
    return values.astype(np.float64)
