"""zfp."""

from __future__ import annotations

from typing import ClassVar

import zfpy

from slashbench.arrays import Array
from slashbench.codecs.families.wide_floats import WideFloatCodec


class Zfp(WideFloatCodec):
    """Transform blocks by zfp (BSD) in its reversible mode. Decode trusted streams only.

    A codec of smooth fields; weights grow under it.

    References
    ----------
    P. Lindstrom, "Fixed-rate compressed floating-point arrays", IEEE Trans. Vis. Comput. Graph.
    20(12), 2014.
    """

    codec_id: ClassVar[str] = "slashbench.zfp"
    trusts_input: ClassVar[bool] = True

    def compress(self, flat: Array) -> bytes:
        """Return a zfp stream."""
        return bytes(zfpy.compress_numpy(flat))

    def decompress(self, payload: bytes) -> Array:
        """Return its values."""
        found: Array = zfpy.decompress_numpy(payload)
        return found
