"""A checkpoint quantized, in memory: what a codec is given, and what its decoder must rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from slashbench.arrays import Array
from slashbench.bench.checkpoint import (
    encoder,
    file_format,
    plain_header,
    reader,
    sources,
    state_dict,
    update,
)
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.sources import Source
from slashbench.codecs.base import TensorCodec
from slashbench.codecs.entropy import order0_bits
from slashbench.contracts import Calibration, Model, Quantiser, Quantized
from slashbench.errors import Unencodable
from slashbench.grid import Grid
from slashbench.link import Link
from slashbench.record import TensorSize
from slashbench.weight_rule import why_kept


@dataclass(frozen=True)
class Prepared:
    """A float checkpoint, and its tensors as the quantiser of a recipe makes them."""

    source: Source
    quantiser: Link[Quantiser]
    coded: dict[str, Quantized]  # all other tensors stay as they are
    copies: dict[str, str]  # of tensors that a file keeps once, as `sources.copies` has them
    kept: dict[str, str]  # float tensors that can't be quantized -> why
    calibration_sha256: str  # of the batches the quantiser drew; empty: none
    base: Mapping[str, Array]  # that the tensors are differences to; empty: they are whole

    def coding(self, codec: Link[TensorCodec]) -> Coding:
        """Return how a file of these tensors is coded. Raises UsageError for a bound."""
        return Coding.of_quantized(codec, self.quantiser, self.coded)

    def stored(self) -> dict[str, Array]:
        """Return the tensors that the quantiser leaves as they are."""
        return {
            name: _array(self.source, name)
            for name in self.source.header.tensors
            if name not in self.coded
        }

    def dequantized(self) -> dict[str, Array]:
        """Return what a decoder must rebuild, in the dtypes of the checkpoint, tied names too.

        Where there is a base, that is the sum of both.
        """
        rebuilt = self.stored()
        for name, tensor in self.coded.items():
            plain = self.source.header.tensors[name]
            if tensor.grid is None or not tensor.values.size:
                rebuilt[name] = _array(self.source, name)
                continue
            raw = reader.rebuilt(tensor.grid, plain, 0, tensor.values.reshape(-1))
            rebuilt[name] = raw.view(plain_header.numpy_dtype(plain)).reshape(plain.shape)
        aliases = sources.aliases(self.source.header.metadata)
        rebuilt |= {alias: rebuilt[name] for alias, name in aliases.items()}
        return update.applied(self.base, rebuilt) if self.base else rebuilt

    @cached_property
    def weights_sha256(self) -> str:
        """Identity of the weights that a decoder must rebuild."""
        return update.weights_sha256(self.dequantized())

    def zeros(self) -> float | None:
        """Return the share of coded values that are zero."""
        count = sum(tensor.values.size for tensor in self.coded.values())
        nonzero = sum(int(np.count_nonzero(tensor.values)) for tensor in self.coded.values())
        return 1.0 - nonzero / count if count else None

    def sizes(self, model: Model, n_bytes: Mapping[str, int]) -> list[TensorSize]:
        """Return a size row for each tensor; a copy takes no bytes, and has no entropy of its own.

        n_bytes: of each tensor in a file; 0 where it is not named.
        """
        return [
            TensorSize(
                name=name,
                kind="buffer"
                if name in self.source.buffers
                else state_dict.kind_of(model, name, tensor.dtype, len(tensor.shape)),
                n=tensor.count,
                n_bytes=n_bytes.get(name, 0),
                coded=name in self.coded,
                entropy_bits=self._entropies.get(name),
            )
            for name, tensor in self.source.header.tensors.items()
        ]

    @cached_property
    def _entropies(self) -> dict[str, float]:
        return {
            name: 0.0 if name in self.copies else order0_bits(tensor.values)
            for name, tensor in self.coded.items()
            if tensor.values.dtype.kind in "iu"
        }


def prepare(calibration: Calibration, quantiser: Link[Quantiser], source: Source) -> Prepared:
    """Quantize every float tensor of a checkpoint.

    Raises Unencodable for weights the quantiser refuses and where it leaves nothing to code.
    """
    floats_of = {n: t for n, t in source.header.tensors.items() if t.dtype in plain_header.FLOATS}
    tensors = {name: t for name, t in floats_of.items() if name not in source.buffers}
    kept: dict[str, str] = {}
    found: dict[str, Quantized | None] = {}
    if quantiser.item.domain == "floats":
        found = {name: _unchanged(quantiser, name, _array(source, name)) for name in tensors}
    elif encoder.looks_at_data(quantiser.item):
        arrays = {name: _array(source, name) for name in tensors}
        kept = {name: why for name, w in arrays.items() if (why := why_kept(w))}
        floats = {n: np.asarray(w, np.float32) for n, w in arrays.items()}
        calibration.others = {name: torch.tensor(floats.pop(name)) for name in kept}
        for name in floats_of.keys() - tensors.keys():
            calibration.others[name] = state_dict.to_torch({name: _array(source, name)})[name]
        found = quantiser.item.quantize_all(floats, calibration)
    else:
        for name, tensor in tensors.items():
            raw = source.read(name)
            blocks = encoder.quantized(quantiser.item.in_blocks, name, raw, tensor, kept)
            found[name] = None if blocks is None else blocks.whole()
    coded = {name: made for name in tensors if (made := found.get(name)) is not None}
    if not coded:
        raise Unencodable(
            f"{quantiser.text} leaves nothing to code: the model has no matrices; "
            "try quantize:scope=all"
        )
    copies = {
        name: other
        for name, other in sources.copies(source).items()
        if _same(coded.get(name), coded.get(other))
    }
    kept |= dict.fromkeys(floats_of.keys() - tensors.keys(), "it is a buffer of the model")
    base = state_dict.to_numpy(calibration.base)
    return Prepared(source, quantiser, coded, copies, kept, calibration.sha256, base)


def _unchanged(quantiser: Link[Quantiser], name: str, weight: Array) -> Quantized | None:
    """Return a tensor as a quantiser for codecs of floats has it; raise Unencodable for others.

    A file can only say that floats are the checkpoint's own.
    """
    made = quantiser.item.quantize(name, weight)
    if made is not None and made.values.tobytes() != weight.tobytes():
        raise Unencodable(
            f"{quantiser.name} changes the floats of {name!r}; make a transform of it, or give its "
            "tensors a grid"
        )
    return made


def _same(one: Quantized | None, other: Quantized | None) -> bool:
    """Return whether two tensors of the same weights are quantized alike: data may differ."""
    if one is None or other is None:
        return one is other
    alike = np.array_equal(one.values, other.values) or one.grid is None
    return alike and _spelled(one.grid) == _spelled(other.grid)


def _spelled(grid: Grid | None) -> bytes:
    return file_format.tail("", 1, [], grid)


def _array(source: Source, name: str) -> Array:
    tensor = source.header.tensors[name]
    return source.read(name).view(plain_header.numpy_dtype(tensor)).reshape(tensor.shape)
