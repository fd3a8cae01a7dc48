"""The identity of a calibration set: a hash over the tensors of its batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from slashbench import trees


def sha256_of(batches: Sequence[Any]) -> str:
    """Return the SHA-256 of dtypes, shapes and bits of all tensors in order; "" for no batches.

    A batch is a tree of tensors (see `slashbench.trees`).
    """
    if not batches:
        return ""
    digest = hashlib.sha256()
    for tensor in trees.leaves(batches):
        array = np.asarray(tensor, order="C")
        digest.update(json.dumps([array.dtype.str, list(array.shape)]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
