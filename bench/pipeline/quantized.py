"""A checkpoint quantized, in memory: what a codec is given, and what its decoder must rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from slashbench.bench.checkpoint import state_dict
from slashbench.bench.pipeline import artifact
from slashbench.codecs.entropy import order0_bits
from slashbench.contracts import Calibration, Quantiser, Quantized, Weights
from slashbench.errors import Unencodable
from slashbench.link import Link
from slashbench.record import TensorSize

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Prepared:
    """Tensors to code, tensors stored as they are, tied names, and a size row for each tensor."""

    coded: dict[str, Quantized]
    stored: dict[str, Array]
    aliases: dict[str, str]
    sizes: list[TensorSize]  # n_bytes still 0
    calibration_sha256: str  # of the batches the quantiser drew; empty: none

    def dequantized(self) -> dict[str, Array]:
        """What a decoder must rebuild, tied names included."""
        rebuilt = {name: tensor.dequantize() for name, tensor in self.coded.items()}
        rebuilt |= self.stored
        return rebuilt | {alias: rebuilt[name] for alias, name in self.aliases.items()}

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of what a decoder must rebuild."""
        return artifact.weights_sha256(self.dequantized())

    def zeros(self) -> float | None:
        """Share of coded values that are zero."""
        count = sum(tensor.values.size for tensor in self.coded.values())
        nonzero = sum(int(np.count_nonzero(tensor.values)) for tensor in self.coded.values())
        return 1.0 - nonzero / count if count else None

    def sized(self, stream_bytes: Mapping[str, int]) -> list[TensorSize]:
        """The size rows with each tensor's bytes filled in."""
        return [msgspec.structs.replace(s, n_bytes=stream_bytes[s.name]) for s in self.sizes]


def prepare(calibration: Calibration, quantiser: Link[Quantiser], state: Weights) -> Prepared:
    """Quantize every tensor of a checkpoint, each tied one once.

    Raises Unencodable for weights the quantiser refuses and where it leaves nothing to code.
    """
    aliases = state_dict.tied_names(state)
    arrays = {name: array for name, array in to_numpy(state).items() if name not in aliases}
    floats = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    quantized = quantiser.item.quantize_all(floats, calibration)
    prepared = Prepared({}, {}, aliases, [], calibration.sha256)
    for name, array in arrays.items():
        kind = state_dict.kind_of(calibration.model, name, state[name])
        tensor = quantized.get(name)
        if tensor is None:
            prepared.stored[name] = array
        else:
            prepared.coded[name] = tensor
        integers = tensor is not None and tensor.values.dtype.kind in "iu"
        prepared.sizes.append(
            TensorSize(
                name=name,
                kind=kind,
                n=array.size,
                n_bytes=0,
                coded=tensor is not None,
                entropy_bits=order0_bits(tensor.values) if tensor and integers else None,
            )
        )
    if not prepared.coded:
        raise Unencodable(
            f"{quantiser.text} leaves nothing to code: the model has no matrices; "
            "try quantize:scope=all"
        )
    return prepared


def to_numpy(state: Weights) -> dict[str, Array]:
    """Tensors as arrays over the same memory. Raises Unencodable for a dtype numpy lacks."""
    try:
        return {name: tensor.detach().numpy() for name, tensor in state.items()}
    except TypeError as error:
        raise Unencodable(f"a tensor's dtype has no numpy form ({error}); use float32") from error


def to_torch(arrays: Mapping[str, Array]) -> Weights:
    """Arrays as tensors of their own memory."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
