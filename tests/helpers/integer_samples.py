"""Integers that the tests of codecs share."""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench import trellis_machine


def trellis_rows(states: int, indices: Any) -> Any:
    """Rows of int16 that follow the trellis of that many states, from any indices."""
    following, odd = trellis_machine.machine(states)
    rows = np.zeros(indices.shape, np.int16)
    for to, of in zip(rows, indices.tolist(), strict=True):
        state = 0
        for j, k in enumerate(of):
            to[j] = 2 * k - (k > 0) * odd[state] + (k < 0) * odd[state]
            state = following[state, k % 2]
    return rows
