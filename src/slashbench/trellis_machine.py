"""The trellis of dependent quantization: which of two grids a weight may use, by those before it.

Two scalar quantisers share a step: the even multiples, and the odd ones with zero. A machine with a
few states says whose turn it is, and the parity of a weight's index in its quantiser moves it on.
The rows of a tensor (its first dimension) begin in state 0. So the points that a row may lie on are
packed more densely in many dimensions than any one grid packs them (H. Schwarz et al., "Hybrid
video coding with trellis-coded quantization", DCC 2019; P. Haase et al., "Dependent scalar
quantization for neural network compression", ICIP 2020).

An integer n stands for n steps. In the states that allow even n its index is n / 2; in the others,
which allow odd n and 0, it is (|n| + 1) / 2 rounded down, with the sign of n.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slashbench.arrays import Int64s
from slashbench.errors import UsageError

#: The state after an index of even and of odd parity.
NEXT = {
    4: ((0, 2), (2, 0), (1, 3), (3, 1)),
    8: ((0, 2), (5, 7), (1, 3), (6, 4), (2, 0), (4, 6), (3, 1), (7, 5)),
}
_ODD = {4: (0, 0, 1, 1), 8: (0, 1, 0, 1, 0, 1, 0, 1)}


def machine(states: int) -> tuple[Int64s, Int64s]:
    """Return the machine with that many states.

    Returns
    -------
    next_state : ndarray
        Shape (states, 2), by the parity of the index.
    odd : ndarray
        Shape (states,), 1 where odd multiples and zero may be used, 0 where even ones may.

    Raises
    ------
    UsageError
        Unless there are 4 or 8.
    """
    if states not in NEXT:
        raise UsageError(f"a trellis has {' or '.join(map(str, NEXT))} states, not {states}")
    return np.array(NEXT[states], np.int64), np.array(_ODD[states], np.int64)


def index_of(values: npt.NDArray[np.integer]) -> Int64s:
    """Return the magnitude of each value's index in its quantiser, which its parity tells."""
    return (np.abs(values.astype(np.int64)) + 1) // 2
