"""Elias's universal codes."""

from __future__ import annotations

from typing import ClassVar

from slashbench.codecs.families.integer_code import IntegerCodec
from slashbench.codecs.kernels import integer_codes


class EliasGamma(IntegerCodec):
    """Code integers by Elias gamma: the length in unary, then the number.

    It codes z + 1, where z is the zig-zagged symbol, and is the exp-Golomb code of order 0.

    References
    ----------
    P. Elias, "Universal codeword sets and representations of the integers", IEEE Trans. Inf. Theory
    21(2), 1975.
    """

    codec_id: ClassVar[str] = "slashbench.elias-gamma"
    max_expansion: ClassVar[float] = 2.0  # noise of n bits takes nearly 2n
    family: ClassVar[int] = integer_codes.EXP_GOLOMB

    def _orders(self) -> tuple[int]:
        return (0,)


class EliasDelta(IntegerCodec):
    """Code integers by Elias delta: the length in Elias gamma, then the number.

    Asymptotically optimal; shorter than the gamma code for numbers from 32 on.

    References
    ----------
    P. Elias, "Universal codeword sets and representations of the integers", IEEE Trans. Inf. Theory
    21(2), 1975.
    """

    codec_id: ClassVar[str] = "slashbench.elias-delta"
    max_expansion: ClassVar[float] = 1.75  # noise of 8 bits takes 12
    family: ClassVar[int] = integer_codes.ELIAS_DELTA

    def _orders(self) -> tuple[int]:
        return (0,)
