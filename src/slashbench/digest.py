"""The identity of a calibration set: a hash over the tensors of its batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np


def sha256_of(batches: Sequence[Any]) -> str:
    """SHA-256 of dtypes, shapes and bits of all tensors in order; empty for no batches.

    A batch is a tensor, or a tuple, list or dictionary of batches.
    """
    if not batches:
        return ""
    digest = hashlib.sha256()
    for tensor in _tensors(batches):
        array = np.asarray(tensor, order="C")
        digest.update(json.dumps([array.dtype.str, list(array.shape)]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _tensors(batch: Any) -> Iterator[Any]:
    """The tensors of a batch, depth first."""
    if isinstance(batch, Mapping):
        batch = [batch[key] for key in sorted(batch)]
    if isinstance(batch, tuple | list):
        for part in batch:
            yield from _tensors(part)
    else:
        yield batch
