"""Tables that are one base table, tilted: exact cells for the decoder, the fit for the encoder.

    mass of magnitude m in table (t, s)  =  2^(-base[s, m] / 16 - tilt[t] m^power / 2^exponent)

A tilt widens or narrows a distribution: of a generalised Gaussian of the shape `power` it makes one
of another scale. As in `generalised_gaussian`, what both ends compute is made of + - * / and square
roots, which IEEE 754 rounds the same everywhere, and of exp2 of that file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Float32s, Float64s, Int64s, Integers
from slashbench.codecs.kernels import brief, kernel
from slashbench.codecs.kernels.generalised_gaussian import exp2

BASE_STEPS = 16  # an octave
_PASSES = 64

#: Row or column classes that `prices` compares at once.
WIDE = 16


@kernel
def raised(m: int, halves: int) -> float:
    """m to the power of halves / 2: 1, 1.5 or 2."""
    if halves == 2:
        return float(m)
    return float(m) * (math.sqrt(float(m)) if halves == 3 else float(m))


@brief
def frequencies(
    base: Int64s,
    magnitudes: Int64s,
    tilt: int,
    halves: int,
    exponent: int,
    bits: int,
    out: Int64s,
) -> bool:
    """Frequencies of -m .. -1, 0, 1 .. m for these magnitudes, at least 1 each; they sum to 2^bits.

    base, magnitudes: ascending from 0, shape (n,). out: shape (2 n - 1,). Masses that would get
    less than one get one; the others share what is left, rounded as running sums. False if they
    can't.
    """
    n, scale = magnitudes.size, 1.0
    for _ in range(exponent):
        scale *= 2.0
    masses = np.empty(out.size)
    top = 0.0
    for i in range(n):
        power = raised(magnitudes[i], halves)
        masses[n - 1 + i] = -(base[i] / float(BASE_STEPS)) - float(tilt) * power / scale
        if i == 0 or masses[n - 1 + i] > top:
            top = masses[n - 1 + i]
    for i in range(n):
        mass = exp2(masses[n - 1 + i] - top)
        masses[n - 1 + i] = mass if i == 0 else 0.5 * mass
        masses[n - 1 - i] = masses[n - 1 + i]
    out[:] = 0
    left, changed = float(1 << bits), True
    total = 0.0
    for _ in range(_PASSES):
        total = 0.0
        for i in range(out.size):
            if out[i] == 0:
                total += masses[i]
        changed, room = False, left
        for i in range(out.size):
            if out[i] == 0 and masses[i] * room < total:
                out[i] = 1
                left -= 1.0
                changed = True
        if not changed:
            break
    if changed or left < 1.0 or not total > 0.0:
        return False
    running, given = 0.0, 0
    for i in range(out.size):
        if out[i] == 0:
            running += masses[i] / total * left
            upto = math.floor(running + 0.5)
            out[i] = upto - given
            given = upto
            if out[i] < 1:
                return False
    return bool(out.sum() == 1 << bits)


@kernel
def tally(
    matrix: Integers,
    row_classes: Int64s,
    column_classes: Int64s,
    successors: Bytes,
    out: Int64s,
) -> None:
    """out[class of row + class of column, state, magnitude] += 1; the last magnitude is all beyond.

    successors: shape (states, 4), the trellis state after a magnitude, by its two lowest bits.
    """
    beyond = out.shape[2] - 1
    for i in range(matrix.shape[0]):
        state: Any = 0
        for j in range(matrix.shape[1]):
            m = abs(np.int64(matrix[i, j]))
            out[row_classes[i] + column_classes[j], state, min(m, beyond)] += 1
            state = np.int64(successors[state, m & 3])


@kernel
def follows(matrix: Integers, successors: Bytes, odd: Bytes) -> bool:
    """Whether each row is one that the trellis allows, from state 0 on."""
    for i in range(matrix.shape[0]):
        state: Any = 0
        for j in range(matrix.shape[1]):
            m = abs(np.int64(matrix[i, j]))
            if m and (m & 1) != odd[state]:
                return False
            state = np.int64(successors[state, m & 3])
    return True


@kernel
def prices(
    matrix: Integers,
    others: Int64s,
    by_row: bool,
    successors: Bytes,
    costs: Float32s,
    out: Float32s,
) -> None:
    """Add to out[line, c] the bits of each line if it were in class c, c < WIDE.

    others: the classes of the lines across. costs: shape (classes across, states, size, WIDE).
    """
    beyond = costs.shape[2] - 1
    for i in range(matrix.shape[0]):
        state: Any = 0
        for j in range(matrix.shape[1]):
            m = abs(np.int64(matrix[i, j]))
            line, across = (i, j) if by_row else (j, i)
            cost = costs[others[across], state, min(m, beyond)]
            for c in range(WIDE):
                out[line, c] += cost[c]
            state = np.int64(successors[state, m & 3])


@kernel
def fit(counts: Float64s, powers: Float64s, base: Float64s, tilts: Float64s, turns: int) -> None:
    """Improve base and tilts, in nats, towards the most likely ones given the counts.

    counts: shape (tables, states, magnitudes). powers: of the magnitudes, over their mean. Newton's
    step for each tilt and iterative scaling for the base take turns. For the encoder only.
    """
    n_tables, n_states, n = counts.shape
    seen = np.zeros((n_states, n))
    for t in range(n_tables):
        seen += counts[t]
    for _ in range(turns):
        expected = np.zeros((n_states, n))
        for t in range(n_tables):
            slope, curve = 0.0, 0.0
            for s in range(n_states):
                total = counts[t, s].sum()
                if total == 0.0:
                    continue
                top, mass, mean, square, found = -1e300, 0.0, 0.0, 0.0, 0.0
                for m in range(n):
                    if base[s, m] < 1e200:
                        top = max(top, -base[s, m] - tilts[t] * powers[m])
                for m in range(n):
                    if base[s, m] < 1e200:
                        p = math.exp(-base[s, m] - tilts[t] * powers[m] - top)
                        mass += p
                        mean += p * powers[m]
                        square += p * powers[m] * powers[m]
                        found += counts[t, s, m] * powers[m]
                mean /= mass
                slope += total * mean - found
                curve += total * (square / mass - mean * mean)
                for m in range(n):
                    if base[s, m] < 1e200:
                        p = math.exp(-base[s, m] - tilts[t] * powers[m] - top)
                        expected[s, m] += total * p / mass
            if curve > 0.0:
                tilts[t] += min(max(slope / curve, -0.5), 0.5)
        for s in range(n_states):
            for m in range(n):
                if base[s, m] < 1e200:
                    base[s, m] -= math.log(max(seen[s, m], 0.3) / max(expected[s, m], 1e-9))
