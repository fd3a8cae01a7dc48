"""An update: tensors that are differences to weights which the other side has already.

A plain file of differences, and the compressed file that stands for it, name those weights, their
base, by hash in the metadata entry `slashbench.base` (`Base.identity`). Differences may be stacked
and factored, as `slashbench.update_layout` has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from slashbench import update_layout
from slashbench.arrays import Array
from slashbench.bench.checkpoint import plain_header, sources
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.errors import CorruptFile, OtherBase
from slashbench.grid import fitted
from slashbench.update_layout import LAYOUT, LEFT, RIGHT


def weights_sha256(weights: Mapping[str, Array]) -> str:
    """Return the identity of a set of weights: names, dtypes, shapes and bit patterns."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.asarray(weights[name], order="C")
        digest.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def decoded(checkpoint: Checkpoint) -> dict[str, Array]:
    """Decode every tensor of a file, tied names included. Raises CorruptFile."""
    header = checkpoint.header
    weights = {
        name: raw.view(plain_header.numpy_dtype(header.tensors[name])).reshape(
            header.tensors[name].shape
        )
        for name, raw in checkpoint.all().items()
    }
    for alias, name in sources.aliases(header.metadata).items():
        if name not in weights:
            raise CorruptFile(f"the tied name {alias!r} leads nowhere")
        weights[alias] = weights[name]
    return weights


def whole(checkpoint: Checkpoint, base: Base | None) -> dict[str, Array]:
    """Decode every tensor and add the base that the file names; None where it names none.

    Raises CorruptFile, and OtherBase where it is another base.
    """
    check_base(checkpoint.header.metadata, base)
    found = decoded(checkpoint)
    return found if base is None else applied(of_base(base), found)


def of_base(base: Base) -> dict[str, Array]:
    """Return the tensors of a base."""
    return {
        name: base.read(name).view(plain_header.numpy_dtype(tensor)).reshape(tensor.shape)
        for name, tensor in base.tensors.items()
    }


def new_file(file: BinaryIO, checkpoint: Checkpoint, base: Base) -> None:
    """Write the plain safetensors file that an update makes of its base.

    Raises CorruptFile, and OtherBase where it is another base.
    """
    weights = whole(checkpoint, base)
    kinds = {name: (plain_header.name_of(w.dtype), w.shape) for name, w in weights.items()}
    header = plain_header.compose(kinds, {})
    file.write(header.front)
    for name in header.tensors:
        file.write(np.asarray(weights[name], order="C").reshape(-1).view(np.uint8).data)


def check_base(metadata: Mapping[str, str], base: Base | None) -> None:
    """Raise OtherBase unless `base` is the one that a file's metadata names, None for none."""
    named = metadata.get(sources.BASE, "")
    if named and base is None:
        raise OtherBase(
            f"its tensors are differences to the weights of hash {named}: say where that base is, "
            "with --base, or base= in Python"
        )
    if base is not None and not named:
        raise OtherBase("its tensors are whole weights, so it takes no base")
    if base is not None and base.identity() != named:
        raise OtherBase(
            f"{base.where} has the hash {base.identity()}; it was made for a base of hash {named}"
        )


def applied(base: Mapping[str, Array], update: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights that an update makes of its base.

    A tensor that the base has not is whole; one that the update has not stays as it is in the base.
    Sums and products are made in float32, in an order that is the same on every machine.
    Raises CorruptFile for an update that does not fit the base.
    """
    found = dict(base)
    for name, difference in multiplied(base, unstacked(update)).items():
        if name not in base:
            found[name] = difference
            continue
        if difference.shape != base[name].shape:
            raise CorruptFile(
                f"{name!r} is {difference.shape} in the update, {base[name].shape} in the base"
            )
        total = np.add(base[name], difference, dtype=np.float32)
        found[name] = fitted(total, base[name].dtype)
    return found


def unstacked(update: Mapping[str, Array]) -> dict[str, Array]:
    """Return the tensors of an update with its stacks taken apart, as its layout says.

    Raises CorruptFile for a layout that does not fit.
    """
    found = dict(update)
    spelled = found.pop(LAYOUT, None)
    if spelled is None:
        return found
    if spelled.dtype != np.uint8:
        raise CorruptFile("the layout of the update is not bytes")
    for number, members in enumerate(update_layout.parsed(spelled.tobytes())):
        stack = found.pop(f"@{number}", None)
        if stack is None or stack.size != sum(member.count for member in members):
            raise CorruptFile(f"stack {number} of the update is not what its layout says")
        flat, begin = stack.reshape(-1), 0
        for member in members:
            if member.name in found:
                raise CorruptFile(f"{member.name!r} is in the update twice")
            values = np.multiply(flat[begin : begin + member.count], member.unit, dtype=np.float32)
            found[member.name] = values.reshape(member.shape)
            begin += member.count
    return found


def multiplied(base: Mapping[str, Array], update: Mapping[str, Array]) -> dict[str, Array]:
    """Return the tensors of an update with each pair of factors as the matrix it stands for.

    Raises CorruptFile for factors that make no matrix of the base: nothing larger is multiplied.
    """
    found: dict[str, Array] = {}
    for name, tensor in update.items():
        stem = name.removesuffix(RIGHT).removesuffix(LEFT)
        if stem == name:
            found[name] = tensor
            continue
        left, right = update.get(stem + LEFT), update.get(stem + RIGHT)
        if left is None or right is None or stem in update:
            raise CorruptFile(f"{name!r} is one factor without another")
        wanted = base[stem].shape if stem in base else ()
        fits = left.ndim == right.ndim == 2 and left.shape[1] == right.shape[0]
        if not fits or (len(left), right.shape[1]) != wanted:
            raise CorruptFile(f"factors of {stem!r} of shape {left.shape} and {right.shape}")
        if stem not in found:
            found[stem] = _product(left, right)
    return found


def _product(left: Array, right: Array) -> Array:
    """Return left @ right, added up rank by rank: BLAS adds in an order of its own."""
    total = np.zeros((len(left), right.shape[1]), np.float32)
    for column, row in zip(left.T.astype(np.float32), right.astype(np.float32), strict=True):
        total += np.multiply.outer(column, row)
    return total
