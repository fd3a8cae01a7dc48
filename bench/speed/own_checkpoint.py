"""A user's own weights, to try codecs on: rows of every tensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slashbench.arrays import Array
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.formats import folder_contents, opening
from slashbench.bench.speed.samples import Sample
from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.stream.frame import domain_of
from slashbench.contracts import Quantiser
from slashbench.errors import UsageError
from slashbench.weight_rule import why_kept

_SMALL = 4096  # values of a tensor that is taken whole


@dataclass(frozen=True)
class Weights:
    """Rows of every tensor, by name. `n_bytes`: of the whole files; `left_out`: what none takes."""

    tensors: dict[str, Array]
    n_bytes: int
    sampled_bytes: int
    left_out: dict[str, str]


def read(path: Path, budget_bytes: int) -> Weights:
    """Read about `budget_bytes` of a file, or of all that `bench compress` would take of a folder.

    Each tensor gives its share: whole rows from its middle, so that neighbours stay neighbours.
    Raises UsageError where there is no such file, CorruptFile for one that is damaged.
    """
    if path.is_dir():
        members = folder_contents.members(path)
        files = [path / file for file in members.weights]
        left_out = {str(file): why for file, why in members.left_out.items()}
    elif path.is_file():
        files, left_out = [path], {}
    else:
        raise UsageError(
            f"nothing at {path}; name a file of weights ({', '.join(opening.SUFFIXES)}), or a "
            "folder that holds some"
        )
    n_bytes = sum(file.stat().st_size for file in files)
    share = min(1.0, budget_bytes / max(n_bytes, 1))
    tensors: dict[str, Array] = {}
    for file in files:
        source = opening.source_of(file)
        left_out |= {f"{file.name}: {name}": why for name, why in source.left_out.items()}
        for tensor, array in _rows(source, share):
            name = tensor if len(files) == 1 else f"{file.relative_to(path)}: {tensor}"
            if domain_of(array.dtype) == "unsupported":
                left_out[name] = (
                    f"no codec takes {array.dtype} by itself; bench compress codes the bytes of "
                    "64-bit numbers plane by plane, as those of float64"
                )
            elif array.size:
                tensors[name] = array
    return Weights(tensors, n_bytes, sum(a.nbytes for a in tensors.values()), left_out)


def to_quantize(weights: Weights) -> Weights:
    """Return the weights without those that `bench compress --quantize` leaves as they are."""
    kept = {
        name: why
        for name, array in weights.tensors.items()
        if domain_of(array.dtype) == "floats" and (why := why_kept(array))
    }
    tensors = {name: array for name, array in weights.tensors.items() if name not in kept}
    return replace(weights, tensors=tensors, left_out={**weights.left_out, **kept})


def samples(weights: Weights, quantiser: Quantiser | None, spelled: str) -> Iterator[Sample]:
    """Yield a sample for each dtype; with a quantiser, one of all tensors that it quantizes."""
    groups: dict[str, list[Array]] = defaultdict(list)
    native: dict[str, int] = defaultdict(int)
    for name, array in weights.tensors.items():
        quantized = None
        if quantiser is not None and domain_of(array.dtype) == "floats":
            quantized = quantiser.quantize(name, array.astype(np.float32))
        if quantized is not None and quantized.grid is not None:
            group, coded = spelled, quantized.values
        elif quantiser is None:
            group, coded = array.dtype.name, array
        else:
            continue
        groups[group].append(coded)
        native[group] += array.nbytes
    if not groups:
        raise UsageError("there is nothing to code in the file, or nothing that is quantized")
    for name, tensors in groups.items():
        integers = domain_of(tensors[0].dtype) == "integers"
        bound = sum(map(order0_bits, tensors)) if integers else None
        yield Sample(name, tensors, bound, native[name])


def _array(raw: Array, tensor: Tensor) -> Array:
    """Return a tensor's bytes as an array that codecs know; bool and small floats as uint8."""
    dtype = plain_header.DTYPES[tensor.dtype]
    if dtype.bits < 8:
        return raw
    if dtype.numpy is None or (dtype.bits == 8 and tensor.dtype not in ("I8", "U8")):
        return raw.reshape(tensor.shape)
    return raw.view(dtype.numpy).reshape(tensor.shape)


def _rows(source: Source, share: float) -> Iterator[tuple[str, Array]]:
    for name, tensor in source.header.tensors.items():
        whole = _array(source.read(name), tensor)
        if whole.ndim and whole.size > _SMALL and share < 1:
            n_rows = max(1, round(len(whole) * share))
            first = (len(whole) - n_rows) // 2
            whole = whole[first : first + n_rows]
        yield name, whole.copy()
        source.release(name)
