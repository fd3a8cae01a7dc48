"""Cells of a generalised Gaussian, to the last bit the same on every machine.

The density is proportional to exp(-|x / s|^b); a cell is its integral over [v - 1/2, v + 1/2]. An
encoder and a decoder on two machines must find the same frequencies, and libraries differ in the
last bits of exp and log. So everything here is made of + - * / in a fixed order, which IEEE 754
rounds the same everywhere, and of the exact frexp, ldexp and floor. No fastmath, no libm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from slashbench.arrays import Float64s, Int64s
from slashbench.codecs.kernels import kernel

SHAPE_STEPS = 32  # an octave: a shape is 2^(index / 32 - 4)
SHAPE_ZERO = 128
MAX_SHAPE = 224  # 2^3
SCALE_STEPS = 64  # an octave: a scale is 2^(index / 64 - 8)
SCALE_ZERO = 512
MAX_STEP = 32
MAX_SCALE = 1984  # 2^23

_SQRT_HALF = 0.7071067811865476
_LOG2_E = 1.4426950408889634
_LN_2 = 0.6931471805599453
_LOG2_LOG2_E = 0.5287663729448977

# Gauss and Legendre's rule of four points on [-1, 1].
_NODE_0, _NODE_1 = 0.3399810435848563, 0.8611363115940526
_WEIGHT_0, _WEIGHT_1 = 0.6521451548625461, 0.34785484513745385

_HALVINGS = 10  # of [0, 1/2] towards the cusp
_MOST_NODES = 4 * _HALVINGS + 1 + 12  # of the cells 0 and 1; the others have four


@kernel
def log2(x: float) -> float:
    """Base-2 logarithm of a normal number, within 1e-13 of the largest of it and 1."""
    mantissa, exponent = math.frexp(x)
    if mantissa < _SQRT_HALF:
        mantissa *= 2.0
        exponent -= 1
    z = (mantissa - 1.0) / (mantissa + 1.0)
    y = z * z  # below 0.0295; the series is that of the inverse hyperbolic tangent
    tail = 1.0 / 13.0 + y * (1.0 / 15.0 + y * (1.0 / 17.0))
    tail = 1.0 / 7.0 + y * (1.0 / 9.0 + y * (1.0 / 11.0 + y * tail))
    return exponent + 2.0 * _LOG2_E * (z * (1.0 + y * (1.0 / 3.0 + y * (1.0 / 5.0 + y * tail))))


@kernel
def exp2(x: float) -> float:
    """2^x within a relative 1e-13; 0 below 2^-1000, 2^1000 above that."""
    if x < -1000.0:
        return 0.0
    whole = math.floor(min(x, 1000.0) + 0.5)
    z = (min(x, 1000.0) - whole) * _LN_2  # at most 0.347 from zero: Taylor's series
    tail = 1.0 + z / 9.0 * (1.0 + z / 10.0 * (1.0 + z / 11.0))
    tail = 1.0 + z / 6.0 * (1.0 + z / 7.0 * (1.0 + z / 8.0 * tail))
    tail = 1.0 + z / 3.0 * (1.0 + z / 4.0 * (1.0 + z / 5.0 * tail))
    return math.ldexp(1.0 + z * (1.0 + z / 2.0 * tail), int(whole))


@kernel
def _density(x: float, power: float, offset: float) -> float:
    return exp2(-exp2(power * log2(x) + offset))


@kernel
def _integral(low: float, high: float, power: float, offset: float) -> float:
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    near, far = half * _NODE_0, half * _NODE_1
    inner = _density(middle - near, power, offset) + _density(middle + near, power, offset)
    outer = _density(middle - far, power, offset) + _density(middle + far, power, offset)
    return half * (_WEIGHT_0 * inner + _WEIGHT_1 * outer)


@kernel
def cells(shape: int, scale: int, masses: Float64s) -> None:
    """masses[v] = mass of the cells v and -v together, up to a common factor; shape (reach + 1,).

    shape, scale: indices. The cell at zero is cut at 1/4, 1/8, ...: near its cusp the density has
    no derivative to integrate by.
    """
    power = exp2((shape - SHAPE_ZERO) / SHAPE_STEPS)
    offset = _LOG2_LOG2_E - power * ((scale - SCALE_ZERO) / SCALE_STEPS)
    high, mass = 0.5, 0.0
    for _ in range(_HALVINGS):
        mass += _integral(0.5 * high, high, power, offset)
        high *= 0.5
    masses[0] = 2.0 * (mass + high * _density(high, power, offset))
    for v in range(1, masses.size):
        middle = float(v)
        mass = 0.0
        if v == 1:  # here the density may still fall steeply
            mass = _integral(0.5, 0.75, power, offset) + _integral(0.75, 1.0, power, offset)
            mass += _integral(1.0, 1.5, power, offset)
        elif masses[v - 1] > 0.0:
            mass = _integral(middle - 0.5, middle + 0.5, power, offset)
        masses[v] = 2.0 * mass


@kernel
def share(masses: Float64s, bits: int, frequencies: Int64s) -> None:
    """Frequencies of -reach to reach that sum to 2^bits, each at least 1; symmetric.

    At most 2^(bits - 3) for the reach. Masses fall; those that would get less than one get one, the
    others share what is left, rounded as running sums, and zero takes the remainder.
    """
    reach = masses.size - 1
    left, total = float(1 << bits), 0.0
    for v in range(reach, -1, -1):
        total += masses[v]
    last = reach
    while last > 0 and 0.5 * masses[last] * left < total:
        frequencies[reach + last] = frequencies[reach - last] = 1
        left -= 2.0
        total -= masses[last]
        last -= 1
    running, given = 0.0, 0
    for v in range(last, 0, -1):
        running += 0.5 * masses[v] / total * left
        upto = math.floor(running + 0.5)
        frequencies[reach + v] = frequencies[reach - v] = max(1, upto - given)
        given = upto
    frequencies[reach] = 0
    frequencies[reach] = (1 << bits) - frequencies.sum()


@kernel
def _add_nodes(low: float, high: float, nodes: Float64s, at: int) -> int:
    """The nodes of `_integral`, as rows of (logarithm of the place, weight); the place after."""
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    for node, weight in ((_NODE_0, _WEIGHT_0), (_NODE_1, _WEIGHT_1)):
        for place in (middle - half * node, middle + half * node):
            nodes[at, 0], nodes[at, 1] = math.log(place), 2.0 * half * weight
            at += 1
    return at


@kernel
def _nodes(reach: int, nodes: Float64s, ends: Int64s) -> None:
    """What `cells` integrates by, for the encoder: cell v is nodes[ends[v - 1] : ends[v]]."""
    high, at = 0.5, 0
    for _ in range(_HALVINGS):
        at = _add_nodes(0.5 * high, high, nodes, at)
        high *= 0.5
    nodes[at, 0], nodes[at, 1] = math.log(high), 2.0 * high
    at += 1
    ends[0] = at
    for v in range(1, reach + 1):
        if v == 1:
            at = _add_nodes(0.5, 0.75, nodes, at)
            at = _add_nodes(0.75, 1.0, nodes, at)
            at = _add_nodes(1.0, 1.5, nodes, at)
        else:
            at = _add_nodes(v - 0.5, v + 0.5, nodes, at)
        ends[v] = at


@kernel
def _cost(counts: Float64s, shape: int, scale: int, nodes: Float64s, ends: Int64s) -> Any:
    """Bits of values with these counts. By the machine's own exp, so not the same everywhere."""
    power = 2.0 ** ((shape - SHAPE_ZERO) / SHAPE_STEPS)
    offset = -power * _LN_2 * ((scale - SCALE_ZERO) / SCALE_STEPS)
    total, bits, n, at = 0.0, 0.0, 0.0, 0
    for v in range(counts.size):
        mass = 0.0
        while at < ends[v]:
            mass += nodes[at, 1] * math.exp(-math.exp(power * nodes[at, 0] + offset))
            at += 1
        total += mass
        if counts[v] > 0.0:
            n += counts[v]
            bits -= counts[v] * np.log2(max(mass, 1e-300))
    return bits + n * np.log2(total)


@kernel
def fit(counts: Float64s, shape: int, scale: int, step: int) -> Any:
    """(shape, scale) that code values with these counts of 0, +-1, +-2, ... in the fewest bits.

    A search among eight neighbours, in steps doubled after each that helps and halved otherwise.
    The cost has a valley in which the scale grows with the shape, so the neighbours lie along it.
    For the encoder only: the result need not be the same everywhere.
    """
    ends = np.empty(counts.size, np.int64)
    nodes = np.empty((_MOST_NODES + 4 * counts.size, 2))
    _nodes(counts.size - 1, nodes, ends)
    best = _cost(counts, shape, scale, nodes, ends)
    while step > 0:
        found_shape, found_scale = shape, scale
        for i in range(-1, 2):
            for j in range(-1, 2):
                a = min(max(shape + i * step, 0), MAX_SHAPE)
                b = min(max(scale + (2 * i + j) * step, 0), MAX_SCALE)
                if a != shape or b != scale:
                    bits = _cost(counts, a, b, nodes, ends)
                    if bits < best:
                        best, found_shape, found_scale = bits, a, b
        if found_shape == shape and found_scale == scale:
            step //= 2
        else:
            step = min(2 * step, MAX_STEP)
        shape, scale = found_shape, found_scale
    return shape, scale
