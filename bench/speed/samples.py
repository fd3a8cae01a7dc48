"""What codecs are timed on: the matrices of all-MiniLM-L6-v2, quantized to a given entropy or not.

2bits, 4.5bits, ...  integers: rounded to a grid per tensor, its step one multiple of each
                     tensor's standard deviation, chosen so that the order-0 entropy per tensor
                     is that many bits on average; clipped to int8, which every compressor takes
bf16, fp16, fp32     floats: the weights as they are, or rounded to the shorter type
fp8-e4m3, int4, ...  what low precision looks like in a file, made of the same weights (`LOW`)
delta:NAME           a checkpoint given another (delta_samples.py); delta:all for all of them
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from slashbench import selector
from slashbench.bench.models.catalog import MODELS
from slashbench.bench.speed import delta_samples, low_precision
from slashbench.bench.speed.delta_training import CACHE, Progress
from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.stream.frame import domain_of
from slashbench.errors import UsageError
from slashbench.trainers.quantisers.quantize import Uniform

Array = npt.NDArray[Any]
Arrays = list[Array]

FLOATS = {"bf16": ml_dtypes.bfloat16, "fp16": np.float16, "fp32": np.float32}

#: Made from the weights by the rules of each format. No checkpoint was published like this.
LOW: dict[str, Callable[[Array], Array]] = {
    "fp8-e4m3": low_precision.fp8_e4m3,
    "fp8-e5m2": low_precision.fp8_e5m2,
    "fp4-e2m1": low_precision.fp4_e2m1,
    "int8-rows": low_precision.int8_rows,
    "int4-packed": low_precision.int4_packed,
    "gguf-q8_0": low_precision.q8_0,
    "gguf-q4_0": low_precision.q4_0,
    "fp32-of-bf16": low_precision.fp32_of_bf16,
    "fp32-of-int8": low_precision.fp32_of_int8,
    "fp32-of-int4": low_precision.fp32_of_int4,
}

_BITS = re.compile(r"(\d+(?:\.\d+)?)bits?")
_CLOSE = 0.002  # bits between the entropy asked for and the one reached
_MOST = 7.0  # bits that int8 can still hold without much clipping


@dataclass(frozen=True)
class Sample:
    """Named tensors of one domain.

    bound_bits: their order-0 entropy, None for floats. native_bytes: of the weights they came from.
    bases: what a decoder has of each; None where it has nothing.
    """

    name: str
    tensors: Arrays
    bound_bits: float | None
    native_bytes: int
    bases: Arrays | None = None

    @property
    def n_values(self) -> int:
        """Values in all tensors."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def domain(self) -> str | None:
        """What kind of codec takes them: integers or floats."""
        return domain_of(self.tensors[0].dtype)


def names(text: str) -> list[str]:
    """Return the names of a list such as `2bits,4bits,bf16`. Raises UsageError."""
    found: list[str] = []
    for name in selector.split_list(text):
        every = name == f"{delta_samples.PREFIX}all"
        found += [delta_samples.PREFIX + one for one in delta_samples.NAMES] if every else [name]
    for name in found:
        if name.startswith(delta_samples.PREFIX):
            delta_samples.checked(name)
            continue
        bits = _BITS.fullmatch(name)
        if name not in FLOATS and name not in LOW and not (bits and 0 < float(bits[1]) <= _MOST):
            raise UsageError(
                f"no data {name!r}; write an entropy such as 4bits, up to {_MOST:g}, or one of "
                f"{', '.join([*FLOATS, *LOW])}; or {delta_samples.PREFIX}NAME"
            )
    return found


def _quiet(_what: str, _share: float) -> None:
    """Show no progress."""


def samples(
    wanted: list[str], cache: Path = CACHE, progress: Progress = _quiet
) -> Iterator[Sample]:
    """Yield the data that `names` has checked, each made when it is asked for.

    cache: where the checkpoints of deltas are kept, which are trained if they are not there.
    """
    deltas = {name for name in wanted if name.startswith(delta_samples.PREFIX)}
    weights = _matrices() if set(wanted) - deltas else []
    for name in wanted:
        if name in deltas:
            pairs = delta_samples.pair(name, cache, progress)
            tensors = [new for new, _ in pairs]
            yield Sample(name, tensors, None, _n_bytes(tensors), [base for _, base in pairs])
        elif name in FLOATS:
            tensors = [weight.astype(FLOATS[name]) for weight in weights]
            yield Sample(name, tensors, None, _n_bytes(tensors))
        elif name in LOW:
            tensors = [LOW[name](weight) for weight in weights]
            yield Sample(name, tensors, None, _n_bytes(tensors))
        else:
            tensors = _at_entropy(weights, float(_BITS.fullmatch(name)[1]))  # type: ignore[index]
            yield Sample(name, tensors, sum(map(order0_bits, tensors)), _n_bytes(tensors))


def _n_bytes(tensors: Arrays) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _matrices() -> Arrays:
    """Return the encoder's and the pooler's weight matrices, float32, in order of name."""
    MODELS.get("minilm-block")  # raises MissingDependency, with the pip line
    from slashbench.bench.models import minilm

    weights = load_file(minilm.weights_file())
    return [
        weight
        for name, weight in sorted(weights.items())
        if name.startswith(("encoder.", "pooler.")) and weight.ndim == 2
    ]


def _at_entropy(weights: Arrays, bits: float) -> Arrays:
    """Quantize the weights to that many bits of entropy per value, as int8."""
    total = sum(weight.size for weight in weights)
    low, high = -8.0, 8.0  # log2 of the step in standard deviations: entropy falls as it grows
    guess = 2.05 - bits  # of a Gaussian: h = log2(sqrt(2 pi e) std / step)
    while True:
        tensors = [_quantized(weight, 2.0**guess) for weight in weights]
        excess = sum(map(order0_bits, tensors)) / total - bits
        if abs(excess) < _CLOSE:
            return tensors
        low, high = (guess, high) if excess > 0 else (low, guess)
        straight = guess + excess  # a bit less for each doubling, but for the coarsest grids
        guess = straight if low < straight < high else (low + high) / 2
        if math.isclose(low, high, abs_tol=1e-9):
            raise UsageError(f"these weights have no grid of {bits:g} bits")


def _quantized(weight: npt.NDArray[Any], step: float) -> npt.NDArray[np.int8]:
    quantized = Uniform(step, unit="std").quantize("", weight)
    assert quantized is not None, "matrices are never left as they are"
    return quantized.values.clip(-127, 127).astype(np.int8)
