"""A user's own weights, to try codecs on: rows of every tensor of safetensors files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import safetensors
import torch

from slashbench.bench.checkpoint import folders
from slashbench.bench.speed.samples import Sample
from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.stream.frame import domain_of
from slashbench.contracts import Quantiser
from slashbench.errors import CorruptFile, UsageError
from slashbench.weight_rule import why_kept

Array = npt.NDArray[Any]

_SMALL = 4096  # values of a tensor that is taken whole

# What NumPy has no name for, and what no codec takes, as integers of their width where one does.
_AS_BYTES = {torch.bool, *(t for n, t in vars(torch).items() if n.startswith("float8_"))}


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
        members = folders.members(path)
        files = [path / file for file in members.weights]
        left_out = {str(file): why for file, why in members.left_out.items()}
    elif path.is_file():
        files, left_out = [path], {}
    else:
        raise UsageError(
            f"no safetensors file at {path}; name a .safetensors file, or a folder that holds some"
        )
    n_bytes = sum(file.stat().st_size for file in files)
    share = min(1.0, budget_bytes / max(n_bytes, 1))
    tensors: dict[str, Array] = {}
    for file in files:
        for tensor, rows in _rows(file, share):
            name = tensor if len(files) == 1 else f"{file.relative_to(path)}: {tensor}"
            array = as_array(rows)
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


def as_array(tensor: torch.Tensor) -> Array:
    """Return the tensor's memory as a NumPy array; bool and floats of a byte as uint8."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if tensor.dtype in _AS_BYTES:
        return tensor.view(torch.uint8).numpy()
    array: Array = tensor.numpy()
    return array


def _rows(file: Path, share: float) -> Iterator[tuple[str, torch.Tensor]]:
    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                part = opened.get_slice(name)
                shape = part.get_shape()
                if not shape or np.prod(shape) <= _SMALL or share >= 1:
                    yield name, opened.get_tensor(name)
                    continue
                n_rows = max(1, round(shape[0] * share))
                first = (shape[0] - n_rows) // 2
                yield name, part[first : first + n_rows]
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise CorruptFile(f"{file} is no safetensors file, or damaged: {error}") from error
