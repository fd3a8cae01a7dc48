"""A compressed checkpoint as NumPy arrays, and the identity of a set of weights.

Reading imports no torch and runs no pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench.bench.checkpoint import plain_header, reader, sources
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


def weights_sha256(weights: Mapping[str, Array]) -> str:
    """Return the identity of a set of weights: names, dtypes, shapes and bit patterns."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.asarray(weights[name], order="C")
        digest.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
