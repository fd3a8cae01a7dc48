"""A compressed checkpoint as NumPy arrays, and the identity of a set of weights.

Reading imports no torch and runs no pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from slashbench.bench.checkpoint import plain_header, reader, sources, update
from slashbench.bench.checkpoint.reader import Checkpoint

Array = npt.NDArray[Any]


def read(path: Path) -> dict[str, Array]:
    """Decode every tensor of a file of our own making, tied names included.

    Raises CorruptFile for anything that slashbench did not write.
    """
    return arrays(reader.opened(path, trusted=True))


def arrays(checkpoint: Checkpoint) -> dict[str, Array]:
    """Decode every tensor, tied names included. Raises CorruptFile."""
    header = checkpoint.header
    weights = {
        name: raw.view(plain_header.numpy_dtype(header.tensors[name])).reshape(
            header.tensors[name].shape
        )
        for name, raw in checkpoint.all().items()
    }
    return weights | {
        alias: weights[name] for alias, name in sources.aliases(header.metadata).items()
    }


def whole(checkpoint: Checkpoint, base: Mapping[str, Array]) -> dict[str, Array]:
    """Decode every tensor and add the base that the file names; an empty one where it names none.

    Raises CorruptFile, and UsageError where it is another base.
    """
    update.check_base(checkpoint.header.metadata, base)
    return update.applied(base, arrays(checkpoint)) if base else arrays(checkpoint)


def plain(path: Path) -> dict[str, Array]:
    """Return the tensors of a plain safetensors file, tied names left out. Raises CorruptFile."""
    source = sources.of_file(path)
    return {
        name: source.read(name).view(plain_header.numpy_dtype(tensor)).reshape(tensor.shape)
        for name, tensor in source.header.tensors.items()
    }
