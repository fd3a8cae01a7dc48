"""Golomb-Rice coding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from slashbench.codecs.families.integer_code import IntegerCodec, checked_order
from slashbench.codecs.kernels import integer_codes


class GolombRice(IntegerCodec):
    """Code integers by Golomb-Rice of order `k`, by default the best one for each tensor.

    The quotient by 2^k stands in unary, the remainder in k bits. From a quotient of 24 on the value
    itself stands in 32 bits, as JPEG-LS limits its codes.

    Parameters
    ----------
    k : int
        0 to 30, or -1 for the order that makes the codewords shortest.

    References
    ----------
    S. W. Golomb, Run-length encodings, IEEE Trans. Inf. Theory 12(3), 1966; R. F. Rice, JPL
    Publication 79-22, 1979.
    """

    codec_id: ClassVar[str] = "slashbench.golomb-rice"
    family: ClassVar[int] = integer_codes.GOLOMB_RICE

    def __init__(self, k: int = -1) -> None:
        self.k = checked_order(k)

    def _orders(self) -> Iterable[int]:
        return range(integer_codes.MAX_ORDER + 1) if self.k < 0 else (self.k,)
