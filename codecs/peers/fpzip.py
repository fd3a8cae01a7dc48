"""fpzip."""

from __future__ import annotations

from typing import ClassVar

import fpzip
import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.families.wide_floats import WideFloatCodec
from slashbench.errors import CorruptStream


class Fpzip(WideFloatCodec):
    """Predict and range-code floats by fpzip (BSD), lossless. Decode trusted streams only.

    The classic of scientific data, which looks for a smoothness that weights lack.

    References
    ----------
    P. Lindstrom and M. Isenburg, "Fast and efficient compression of floating-point data", IEEE
    Trans. Vis. Comput. Graph. 12(5), 2006.
    """

    codec_id: ClassVar[str] = "slashbench.fpzip"
    trusts_input: ClassVar[bool] = True

    def compress(self, flat: Array) -> bytes:
        """Return an fpzip stream."""
        writable = np.require(flat, requirements="W")  # which it asks for, and leaves as it is
        return bytes(fpzip.compress(writable, precision=0, order="C"))

    def decompress(self, payload: bytes) -> Array:
        """Return its values."""
        try:
            found: Array = fpzip.decompress(payload, order="C")
        except fpzip.FpzipError as error:
            raise CorruptStream(f"the fpzip stream is damaged ({error})") from error
        return found
