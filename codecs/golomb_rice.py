"""Golomb-Rice coding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from slashbench.codecs.families.integer_code import IntegerCodec, checked_order
from slashbench.codecs.kernels import integer_codes


class GolombRice(IntegerCodec):
    """Golomb-Rice code of order `k`, the best one for each tensor by default (Rice 1979).

    A codeword is the quotient by 2^k in unary, then the remainder in k bits. From a quotient of 24
    on it is 24 zeros and the value in 32 bits, as JPEG-LS limits its codes.

    Parameters
    ----------
    k : int
        Order, 0 to 30. -1: the order with the shortest codewords, counted over the tensor's
        symbols.

    References
    ----------
    S. W. Golomb, "Run-length encodings", IEEE Trans. Inf. Theory 12(3), 1966. R. F. Rice, "Some
    practical universal noiseless coding techniques", JPL Publication 79-22, 1979.
    """

    codec_id: ClassVar[str] = "slashbench.golomb-rice"
    family: ClassVar[int] = integer_codes.GOLOMB_RICE

    def __init__(self, k: int = -1) -> None:
        self.k = checked_order(k)

    def _orders(self) -> Iterable[int]:
        return range(integer_codes.MAX_ORDER + 1) if self.k < 0 else (self.k,)
