"""The cheapest path through the trellis of dependent quantization, for all rows at once.

A. Viterbi, "Error bounds for convolutional codes", IEEE Trans. Inf. Theory 13(2), 1967.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slashbench import trellis_machine
from slashbench.arrays import Float32s, Int32s

LARGEST = 255  # index with a code length of its own
PASSES = 4
_BLOCK = 1 << 16  # weights whose prices are held at a time, about
_SMOOTHING = 0.1


def choose(scaled: Float32s, states: int, lam: float) -> Int32s:
    """Return integers n along a trellis that make  sum (scaled - n)^2 + lam bits  small.

    scaled: weights in steps, shape (rows, columns); each row is a path of its own. lam: squared
    steps a bit is worth. Bits are those of the integers' own frequencies in each state, found by
    iteration from a guess.
    """
    lengths = np.tile(1 + 2 * np.log2(1 + np.arange(LARGEST + 1)), (states, 1))
    best = np.empty(scaled.shape, np.int32)
    height = max(1, _BLOCK // max(1, scaled.shape[1]))
    for _ in range(PASSES if lam else 1):
        counts = np.full((states, LARGEST + 1), _SMOOTHING)
        for row in range(0, len(scaled), height):
            part = slice(row, row + height)
            best[part] = _paths(scaled[part], states, (lam * lengths).astype(np.float32), counts)
        lengths = np.log2(counts.sum(1, keepdims=True) / counts)
        lengths[:, 1:] += 1  # the sign
    return best


def _paths(
    scaled: Float32s, states: int, prices: Float32s, counts: npt.NDArray[np.float64]
) -> Int32s:
    """Return the best paths, and add to how often each index occurs in each state."""
    following, odd = trellis_machine.machine(states)
    sizes = np.abs(scaled.T)  # (columns, rows)
    n_columns, n_rows = sizes.shape
    # Price and index of the best value for each state and parity of the index.
    cost = np.empty((n_columns, states, 2, n_rows), np.float32)
    index = np.empty((n_columns, states, 2, n_rows), np.int32)
    for parity in range(2):
        for is_odd in range(2):
            found = _candidates(sizes, is_odd, parity)
            errors = [np.square(sizes - (2 * k - is_odd * (k > 0))) for k in found]
            for state in np.flatnonzero(odd == is_odd):
                least, chosen = None, found[0]
                for k, error in zip(found, errors, strict=True):
                    price = error + prices[state][np.minimum(k, LARGEST)]
                    if least is None:
                        least = price
                    else:
                        better = price < least
                        least, chosen = np.where(better, price, least), np.where(better, k, chosen)
                cost[:, state, parity], index[:, state, parity] = least, chosen
    before = [[(s, p) for s in range(states) for p in range(2) if following[s, p] == t]
              for t in range(states)]  # fmt: skip
    (from_a, by_a), (from_b, by_b) = (np.array(pairs).T for pairs in zip(*before, strict=True))
    spent = np.full((states, n_rows), np.inf, np.float32)
    spent[0] = 0
    took_b = np.empty((n_columns, states, n_rows), bool)
    for j in range(n_columns):
        a = spent[from_a] + cost[j, from_a, by_a]
        b = spent[from_b] + cost[j, from_b, by_b]
        np.less(b, a, out=took_b[j])
        spent = np.minimum(a, b)
    state, rows = spent.argmin(0), np.arange(n_rows)
    out = np.empty((n_columns, n_rows), np.int32)
    places = np.empty((n_columns, n_rows), np.int64)  # in `counts`, flat
    for j in range(n_columns - 1, -1, -1):
        turned = took_b[j, state, rows]
        parity = np.where(turned, by_b[state], by_a[state])
        state = np.where(turned, from_b[state], from_a[state])
        k = index[j, state, parity, rows]
        places[j] = state * counts.shape[1] + np.minimum(k, LARGEST)
        out[j] = 2 * k - odd[state] * (k > 0)
    counts += np.bincount(places.reshape(-1), minlength=counts.size).reshape(counts.shape)
    values: Int32s = np.where(scaled < 0, -out.T, out.T).astype(np.int32)
    return values


def _candidates(sizes: Float32s, is_odd: int, parity: int) -> list[Int32s]:
    """Return indices of that parity: the nearest one, the next towards zero, and zero."""
    place = (sizes + is_odd) / 2  # the index whose value this is
    nearest = (2 * np.rint((place - parity) / 2) + parity).astype(np.int32)
    nearest = np.maximum(nearest, parity)
    lower = np.maximum(nearest - 2, parity)
    return [nearest, lower] + ([np.zeros_like(nearest)] if parity == 0 else [])
