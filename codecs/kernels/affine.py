"""Groups of floats that were integers: the scale and the offset of each, found to the last bit.

The values of a group lie on a grid of one step. From their distances comes the step, about; from
the numbers of steps and the rounding of every value an interval for the scale, in which there are a
few floats. The simplest of them, or the one that rebuilds most values, is the scale.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from slashbench.arrays import Array, Float32s, Float64s
from slashbench.codecs.kernels import kernel

#: How a value is rebuilt from integer, scale and offset: k s, in float32; (k s) + z, each rounded
#: to float32; k s + z in float64, rounded to float32 once.
RULES = PRODUCT, SUM, FUSED = range(3)

MOST_STEPS = 1023  # between the values of a group
NO_FIT = -32768

_DIVISORS = 3  # the least distance may be so many steps
_NEAR = 0.3  # of a step
_CANDIDATES = 64  # floats of an interval that are tried
_ONE_ULP = 2.0**-23


@kernel
def half_ulp(value: float, digits: int, least: int) -> float:
    """Half the distance of neighbours at a value, of floats of so many binary digits."""
    _, exponent = math.frexp(value)
    return math.ldexp(0.5, max(exponent - 1, least) - (digits - 1))


@kernel
def ordered(values: Float32s, found: Float64s) -> int:
    """Fill `found` with the distinct finite values, ascending; return how many there are."""
    n = 0
    for i in range(values.size):
        if math.isfinite(values[i]):
            found[n] = values[i]
            n += 1
    part = found[:n]
    part.sort()
    kept = 0
    for i in range(n):
        if not kept or part[i] != part[kept - 1]:
            part[kept] = part[i]
            kept += 1
    return kept


@kernel
def step_of(values: Float64s, digits: int, least: int) -> float:
    """Return the step of the grid that distinct ascending values lie on, about; 0 if on none."""
    smallest = math.inf
    for i in range(1, values.size):
        smallest = min(smallest, values[i] - values[i - 1])
    reach = max(abs(values[0]), abs(values[-1]))
    for divisor in range(1, _DIVISORS + 1):
        step, steps = smallest / divisor, 0.0
        for i in range(1, values.size):
            here = (values[i] - values[i - 1]) / step
            if not abs(here - np.rint(here)) <= _NEAR:
                steps = 0.0
                break
            steps += np.rint(here)
            step = (values[i] - values[0]) / steps
        if not 0 < steps <= MOST_STEPS:
            continue
        near = 0.05 + 2 * half_ulp(reach, digits, least) / step
        if near > _NEAR:
            continue
        fits = True
        for i in range(values.size):
            at = (values[i] - values[0]) / step
            fits &= abs(at - np.rint(at)) <= near
        if fits:
            return step
    return 0.0


@kernel
def rebuilt(integer: int, rule: int, scale: np.float32, offset: np.float32) -> np.float32:
    """Return the float32 of an integer."""
    if rule == FUSED:
        return np.float32(np.float64(integer) * np.float64(scale) + np.float64(offset))
    product = np.float32(integer) * scale
    return np.float32(product + offset) if rule == SUM else product


@kernel
def _misses(
    values: Float64s, first: int, step: float, rule: int, scale: np.float32, offset: np.float32,
    digits: int, least: int,
) -> int:  # fmt: skip
    """Return how many of the values are not rebuilt."""
    bad = 0
    for i in range(values.size):
        integer = first + int(np.rint((values[i] - values[0]) / step))
        found = np.float64(rebuilt(integer, rule, scale, offset))
        room = half_ulp(values[i], digits, least) if digits < 24 else 0.0
        # in the middle of two floats it would be rounded to the even one: mostly to the other
        bad += not (abs(found - values[i]) < room or found == values[i])
    return bad


@kernel
def _simplest(low: float, high: float) -> float:
    """Return the number between two of one sign that has the fewest binary digits."""
    middle = 0.5 * (low + high)
    _, exponent = math.frexp(middle)
    for digits in range(1, 24):
        unit = math.ldexp(1.0, exponent - digits)
        found: float = np.rint(middle / unit) * unit
        if low <= found <= high:
            return found
    return middle


@kernel
def fit(values: Float64s, rule: int, digits: int, least: int, found: Float64s) -> bool:
    """Fill `found` with step, first integer, scale and offset of distinct ascending values.

    digits, least: of the type of the values, see `half_ulp`. Returns whether nearly all values are
    rebuilt.
    """
    n = values.size
    found[:] = 0
    if n == 0:
        return True
    if n == 1:
        found[0], found[1] = 1, rule == PRODUCT and values[0] != 0
        found[2 if rule == PRODUCT else 3] = values[0]
        return True
    step = step_of(values, digits, least)
    if step == 0:
        return False
    first = 0
    if rule == PRODUCT:
        at = values[0] / step
        if not abs(at) < 2 * MOST_STEPS or abs(at - np.rint(at)) > _NEAR:
            return False
        first = int(np.rint(at))
    offset = np.float64(0 if rule == PRODUCT else values[0])
    low, high = -math.inf, math.inf
    for i in range(n):
        integer = first + np.rint((values[i] - values[0]) / step)
        if integer == 0:
            continue
        room = half_ulp(values[i], digits, least)
        one = (values[i] - offset - room) / integer
        other = (values[i] - offset + room) / integer
        low, high = max(low, min(one, other)), min(high, max(one, other))
    if digits < 24:  # away from the middle of two floats
        low, high = low * (1 + _ONE_ULP), high * (1 - _ONE_ULP)
    if rule == SUM:  # the product is rounded, too
        low, high = low * (1 - _ONE_ULP), high * (1 + _ONE_ULP)
    if not 0 < low <= high:
        middle = 0.5 * (low + high)
        if not (middle > 0 and abs(low - high) < 8 * _ONE_ULP * middle):
            return False
        low, high = min(low, high), max(low, high)
    best, scale = n + 1, np.float32(0)
    one_up = np.float32(math.inf)
    candidate = np.float32(_simplest(low, high))
    for turn in range(_CANDIDATES):
        bad = _misses(values, first, step, rule, candidate, np.float32(offset), digits, least)
        if bad < best:
            best, scale = bad, candidate
        if bad == 0:
            break
        # first the simplest, then all from a little below the interval on
        candidate = (
            np.float32(low * (1 - _ONE_ULP)) if turn == 0 else np.nextafter(candidate, one_up)
        )
        if candidate > high * (1 + 2 * _ONE_ULP):
            break
    found[0], found[1], found[2], found[3] = step, first, scale, offset
    return best * 16 <= n


@kernel
def fit_groups(
    flat: Float32s, group: int, rule: int, digits: int, least: int,
    scales: Float32s, offsets: Float32s, integers: Array,
) -> int:  # fmt: skip
    """Fill scale and offset of each group, and the integer of each value, or NO_FIT.

    Returns how many groups fit.
    """
    room, found = np.empty(group, np.float64), np.empty(4, np.float64)
    fitting = 0
    for g in range(scales.size):
        part = flat[g * group : (g + 1) * group]
        distinct = room[: ordered(part, room)]
        good = fit(distinct, rule, digits, least, found)
        fitting += good
        scales[g] = found[2] if good else 0
        offsets[g] = found[3] if good else 0
        for i in range(part.size):
            integer = NO_FIT
            if good and math.isfinite(part[i]):
                lowest = distinct[0]
                integer = int(found[1] + np.rint((part[i] - lowest) / found[0]))
            integers[g * group + i] = integer
    return fitting


@kernel
def look(flat: Float32s, run: int, step: int, digits: int, least: int) -> float:
    """Return the share of runs, one every `step` values, that lie on a grid of a few steps.

    Two values always do. Up to four tell something if they are as near as those of two bits. 0 if
    most runs tell nothing.
    """
    room = np.empty(run, np.float64)
    looked, telling, fitting = 0, 0, 0
    for begin in range(0, flat.size - run + 1, step):
        looked += 1
        n = ordered(flat[begin : begin + run], room)
        if n >= 3:
            telling += 1
            found = step_of(room[:n], digits, least)
            fitting += found > 0 and (n >= 5 or room[n - 1] - room[0] < 3.5 * found)
    return fitting / telling if 2 * telling >= looked > 0 else 0.0


@kernel
def rebuild(
    symbols: Array, begin: int, group: int, lowest: int, rule: int,
    scales: Float32s, offsets: Float32s, out: Float32s,
) -> bool:  # fmt: skip
    """Fill `out` with the floats of symbols, the first of which is value `begin` of the tensor.

    Symbol 0 is -0.0, any other the integer symbol - 1 + lowest. False: there are too few scales.
    """
    if group < 1 or begin < 0 or (begin + symbols.size + group - 1) // group > scales.size:
        return False
    if rule != PRODUCT and offsets.size < scales.size:
        return False
    at = 0
    while at < symbols.size:
        g = (begin + at) // group
        end = min(symbols.size, (g + 1) * group - begin)
        scale = scales[g]
        offset = offsets[g] if rule != PRODUCT else np.float32(0)
        for i in range(at, end):
            symbol: Any = np.int64(symbols[i])
            if symbol:
                out[i] = rebuilt(symbol - 1 + lowest, rule, scale, offset)
            else:
                out[i] = np.float32(-0.0)
        at = end
    return True
