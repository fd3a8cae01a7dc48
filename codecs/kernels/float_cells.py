"""Cells of a generalised Gaussian on the grid of a float's bits, the same on every machine.

A symbol is the exponent, counted from the lowest one of a window, and the `sub` highest bits of the
mantissa below it: 256 cells of magnitude, each 2^-sub of an octave's lower end wide. The density is
proportional to exp(-|x / s|^b), taken in the middle of a cell and times its width. As in
`generalised_gaussian`, everything here that a decoder needs is made of + - * / in a fixed order and
of frexp, ldexp and floor.

The scale is in octaves above the window's lowest exponent. A window that begins with the numbers
below all normal ones (`subnormal`) has linear cells there, as wide as those of the exponent above.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from slashbench.arrays import Float64s, Int64s
from slashbench.codecs.kernels import brief, kernel, rans_bytes
from slashbench.codecs.kernels.generalised_gaussian import (
    MAX_SCALE,
    MAX_SHAPE,
    SCALE_STEPS,
    SCALE_ZERO,
    SHAPE_STEPS,
    SHAPE_ZERO,
    exp2,
    log2,
)

CELLS = 256
BITS = rans_bytes.BITS  # of the sum of frequencies

_LOG2_LOG2_E = 0.5287663729448977
_LN_2 = 0.6931471805599453
_NEAR = 1.0 / 64.0  # its cube over 18 is what the series leaves out
_LARGEST_STEP = 16


@kernel
def _powers(power: float, sub: int, subnormal: bool, inner: Float64s) -> None:
    """inner[0]: (middle of a cell, from its exponent's lower end)^power; inner[1]: subnormal."""
    cells = 1 << sub
    for m in range(cells):
        inner[0, m] = exp2(power * log2(1.0 + (m + 0.5) / cells))
        inner[1, m] = exp2(power * log2((m + 0.5) / cells)) if subnormal else inner[0, m]


@kernel
def masses(shape: int, scale: int, sub: int, subnormal: bool, out: Float64s) -> None:
    """out[cell] = its mass, up to a common factor; shape (CELLS,). shape, scale: indices.

    Near zero, where the density hardly falls, by the first terms of its series.
    """
    power = exp2((shape - SHAPE_ZERO) / SHAPE_STEPS)
    offset = _LOG2_LOG2_E - power * ((scale - SCALE_ZERO) / SCALE_STEPS)
    inner = np.empty((2, 1 << sub))
    _powers(power, sub, subnormal, inner)
    for e in range(CELLS >> sub):
        low = int(subnormal and e == 0)
        octave = float(e + low)
        outer, width = exp2(power * octave + offset), math.ldexp(1.0, e + low)
        for m in range(1 << sub):
            y = outer * inner[low, m]
            if y < _NEAR:
                z = y * _LN_2
                out[(e << sub) + m] = width * (1.0 - z * (1.0 - 0.5 * z))
            else:
                out[(e << sub) + m] = width * exp2(-y)


@kernel
def share(mass: Float64s, top: int, frequencies: Int64s) -> bool:
    """Frequencies of the cells 0 to `top` that sum to 2^BITS, each at least 1; 0 above that.

    Cells that would get less than one get one; the others share what is left, rounded as running
    sums, and the fullest takes the remainder. False if that is not to be had.
    """
    total, rare_mass, rare, fullest = 0.0, 0.0, 0, 0
    frequencies[:] = 0
    for i in range(top + 1):
        total += mass[i]
        if mass[i] > mass[fullest]:
            fullest = i
    slots = float(1 << BITS)
    for i in range(top + 1):
        if mass[i] * slots < total or total <= 0.0:
            frequencies[i] = 1
            rare_mass += mass[i]
            rare += 1
    left, rest = slots - rare, total - rare_mass
    running, given, used = 0.0, 0, rare
    for i in range(top + 1):
        if frequencies[i] == 0:
            running += mass[i] / rest * left
            upto = math.floor(running + 0.5)
            frequencies[i] = max(1, upto - given)
            given = upto
            used += frequencies[i]
    frequencies[fullest] += (1 << BITS) - used
    return bool(frequencies[fullest] > 0)


@brief
def frequencies_of(models: Int64s, sub: int, subnormal: bool, frequencies: Int64s) -> bool:
    """Fill frequencies[i] by `share` for models[i], (shape, scale, highest cell); or False."""
    mass = np.empty(CELLS)
    for i in range(models.shape[0]):
        masses(models[i, 0], models[i, 1], sub, subnormal, mass)
        if not share(mass, models[i, 2], frequencies[i]):
            return False
    return True


@kernel
def _cost(counts: Float64s, sub: int, subnormal: bool, shape: int, scale: int) -> Any:
    """Bits of the exponents under the model. By the machine's own exp: for the encoder only."""
    power = 2.0 ** ((shape - SHAPE_ZERO) / SHAPE_STEPS)
    place = (scale - SCALE_ZERO) / SCALE_STEPS
    cells, total, bits, n = 1 << sub, 0.0, 0.0, 0.0
    inner = np.empty((2, cells))
    for m in range(cells):
        inner[0, m] = (1.0 + (m + 0.5) / cells) ** power
        inner[1, m] = ((m + 0.5) / cells) ** power if subnormal else inner[0, m]
    for e in range(counts.size):
        low = int(subnormal and e == 0)
        outer, mass = 2.0 ** (power * (e + low - place)), 0.0
        if outer < _NEAR:
            mass = cells * math.exp(-outer * inner[low, cells // 2])
        else:
            for m in range(cells):
                mass += math.exp(-outer * inner[low, m])
        mass *= 2.0 ** (e + low)
        total += mass
        if counts[e] > 0.0:
            n += counts[e]
            bits -= counts[e] * np.log2(max(mass, 1e-300))
    return bits + n * np.log2(max(total, 1e-300))


@brief
def fit(
    counts: Float64s, sub: int, subnormal: bool, shape: int, scale: int, step: int
) -> tuple[int, int]:
    """(shape, scale) that code exponents with these counts in the fewest bits, about.

    A search among eight neighbours, in steps doubled after each that helps and halved otherwise,
    along the valley in which the scale grows with the shape. For the encoder only.
    """
    best = _cost(counts, sub, subnormal, shape, scale)
    while step > 0:
        found_shape, found_scale = shape, scale
        for i in range(-1, 2):
            for j in range(-1, 2):
                a = min(max(shape + i * step, 0), MAX_SHAPE)
                b = min(max(scale + (2 * i + j) * step, 0), MAX_SCALE)
                if a != shape or b != scale:
                    bits = _cost(counts, sub, subnormal, a, b)
                    if bits < best:
                        best, found_shape, found_scale = bits, a, b
        if found_shape == shape and found_scale == scale:
            step //= 2
        else:
            step = min(2 * step, _LARGEST_STEP)
        shape, scale = found_shape, found_scale
    return shape, scale
