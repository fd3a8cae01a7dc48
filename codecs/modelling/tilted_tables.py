"""Many tables from one: a base for each trellis state, tilted for each class of scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slashbench import trellis_machine
from slashbench.arrays import Bytes, Float64s, Int64s
from slashbench.codecs.kernels import tilted as kernels
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.mapping import unzigzag, zigzag
from slashbench.codecs.stream.table_bytes import Reader, integer_list
from slashbench.errors import CorruptStream

MAX_REACH = 2047
MAX_EXPONENT = 40
MAX_NUMBER = 1 << 15  # of a base or a tilt
MAX_PRODUCT = 1 << 16  # of reach, states and classes
HALVES = (4, 3, 2)  # of the exponents that a tilt may have: squares, powers of 1.5, magnitudes
_TILT_STEPS = 32  # to a nat at the mean power


def machine(states: int) -> tuple[Bytes, Bytes]:
    """(state after a magnitude by its two lowest bits, 1 where magnitudes are odd) by state.

    One state stands for no trellis: all magnitudes may occur.
    """
    if states == 1:
        return np.zeros((1, 4), np.uint8), np.zeros(1, np.uint8)
    following, odd = trellis_machine.machine(states)
    parity = trellis_machine.index_of(np.arange(4)) & 1
    return following[:, parity].astype(np.uint8), odd.astype(np.uint8)


def magnitudes(states: int, reach: int) -> list[Int64s]:
    """Return the magnitudes up to reach that each state allows, ascending from 0."""
    if states == 1:
        return [np.arange(reach + 1)]
    return [
        np.concatenate([[0], np.arange(2 - odd, reach + 1, 2)])
        for odd in machine(states)[1].tolist()
    ]


@dataclass(frozen=True, slots=True)
class TiltedTables:
    """Distributions of the integers -reach to reach: one for each (class, state).

    bases: for each state the numbers of its magnitudes, the first one 0. tilts: for each class, the
    first one 0.
    """

    reach: int
    halves: int
    exponent: int
    bases: tuple[Int64s, ...]
    tilts: Int64s

    @property
    def states(self) -> int:
        """Trellis states; 1 if there is no trellis."""
        return len(self.bases)

    def frequencies(self, bits: int) -> list[list[tuple[Int64s, Int64s]]]:
        """Return (values, frequencies that sum to 2^bits) by class and state.

        Raises CorruptStream where the numbers make no table of that many bits.
        """
        alphabets = magnitudes(self.states, self.reach)
        values = [np.concatenate([-found[:0:-1], found]) for found in alphabets]
        scale = self.halves, self.exponent
        tables = []
        for tilt in self.tilts.tolist():
            row = []
            for base, found, signed in zip(self.bases, alphabets, values, strict=True):
                shares = np.empty(signed.size, np.int64)
                if not kernels.frequencies(base, found, tilt, *scale, bits, shares):
                    raise CorruptStream("a base and a tilt that make no table")
                row.append((signed, shares))
            tables.append(row)
        return tables

    def to_bytes(self) -> bytes:
        """Write the tables; how many classes and states there are is written elsewhere."""
        steps = [np.diff(base) for base in self.bases] + [np.diff(self.tilts)]
        listed = integer_list(zigzag(np.concatenate(steps).astype(np.int32)))
        return frame.varint(self.reach) + bytes([self.halves, self.exponent]) + listed

    @classmethod
    def read(cls, tables: Reader, states: int, classes: int, bits: int) -> TiltedTables:
        """Undo `to_bytes`. Raises CorruptStream for what it can't have written."""
        reach = tables.varint(MAX_REACH)
        if reach > max_reach(bits) or (states > 1 and reach < 2):
            raise CorruptStream(f"a reach of {reach} in tables of {bits} bits")
        if reach * states * classes > MAX_PRODUCT:
            raise CorruptStream(f"{states * classes} tables with a reach of {reach}")
        halves, exponent = tables.byte(), tables.byte()
        if halves not in HALVES or exponent > MAX_EXPONENT:
            raise CorruptStream(f"tilts by a power of {halves} / 2, over 2^{exponent}")
        lengths = [found.size - 1 for found in magnitudes(states, reach)] + [classes - 1]
        steps = unzigzag(tables.integers(sum(lengths))).astype(np.int64)
        parts = np.split(steps, np.cumsum(lengths)[:-1])
        sums = [np.concatenate([[0], np.cumsum(part)]) for part in parts]
        if max(int(np.abs(part).max()) for part in sums) > MAX_NUMBER:
            raise CorruptStream("a base or a tilt beyond its limit")
        return cls(reach, halves, exponent, tuple(sums[:-1]), sums[-1])


def max_reach(bits: int) -> int:
    """Largest reach of tables that sum to 2^bits."""
    return 1 << bits - 3


@dataclass(frozen=True, slots=True)
class TiltedFit:
    """What an encoder has found, not yet on the grid: base and tilts in nats, tilts at `mean`."""

    base: Float64s  # (states, reach + 1)
    tilts: Float64s
    halves: int
    mean: float  # of the magnitudes to that power

    @classmethod
    def to(cls, counts: Int64s, halves: int, turns: int) -> TiltedFit:
        """Fit base and tilts to magnitudes, counted by class, state and magnitude."""
        n_classes, states, size = counts.shape
        base = np.full((states, size), 1e300)
        seen = counts.sum(0).astype(np.float64)
        for state, found in enumerate(magnitudes(states, size - 1)):
            base[state, found] = -np.log(np.maximum(seen[state, found], 0.3))
        return cls(base, np.zeros(n_classes), halves, _mean(counts, halves)).improved(counts, turns)

    def improved(self, counts: Int64s, turns: int) -> TiltedFit:
        """Fit it to other counts, from here on."""
        mean = _mean(counts, self.halves)
        base, tilts = self.base.copy(), self.tilts * (mean / self.mean)
        powers = _powers(counts.shape[2], self.halves) / mean
        kernels.fit(counts.astype(np.float64), powers, base, tilts, turns)
        return TiltedFit(base, tilts, self.halves, mean)

    def bits(self, least: float) -> Float64s:
        """Return the bits of a magnitude with its sign by class and state, `least` the longest."""
        powers = _powers(self.base.shape[1], self.halves) / self.mean
        exponents = -self.base[None] - self.tilts[:, None, None] * powers
        exponents -= exponents.max(2, keepdims=True)
        masses = np.exp(exponents)
        masses /= masses.sum(2, keepdims=True)
        found: Float64s = np.minimum(-np.log2(np.maximum(masses, 1e-300)), least)
        found[:, :, 1:] += 1
        return found

    def on_grid(self) -> TiltedTables:
        """Return the tables nearest to it that can be written."""
        states, size = self.base.shape
        wanted = np.log2(_TILT_STEPS * self.mean / np.log(2))
        exponent = int(min(max(np.ceil(wanted), 0), MAX_EXPONENT))
        unit = self.mean * np.log(2) / 2.0**exponent  # nats at the mean power of a tilt of 1
        limit = MAX_NUMBER // 2
        tilts = np.rint(self.tilts / unit).clip(-limit, limit).astype(np.int64)
        powers = _powers(size, self.halves) / 2.0**exponent
        bases = []
        for state, found in enumerate(magnitudes(states, size - 1)):
            whole = self.base[state, found] / np.log(2) + int(tilts[0]) * powers[found]
            near = np.rint(kernels.BASE_STEPS * (whole - whole[0]))
            bases.append(near.clip(-limit, limit).astype(np.int64))
        return TiltedTables(size - 1, self.halves, exponent, tuple(bases), tilts - tilts[0])


def _powers(size: int, halves: int) -> Float64s:
    powers: Float64s = (np.arange(size) ** (halves / 2)).astype(np.float64)
    return powers


def _mean(counts: Int64s, halves: int) -> float:
    total = float(counts.sum((0, 1)) @ _powers(counts.shape[2], halves))
    return max(total / max(int(counts.sum()), 1), 1e-3)
