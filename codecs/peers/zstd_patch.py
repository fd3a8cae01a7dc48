"""Zstandard with the base as its dictionary."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import zstandard

from slashbench.arrays import Array
from slashbench.codecs.families.delta_codec import WholeDeltaCodec
from slashbench.errors import CorruptStream

_LONGEST_WINDOW = 31  # log2, as the format has it


class ZstdPatch(WholeDeltaCodec):
    """Compress with Zstandard, the base as its dictionary, as `zstd --patch-from` does.

    Long-distance matching over a window that holds both. Licence: BSD-3-Clause.

    Parameters
    ----------
    level : int
        1 to 22; 3 is that of the command.

    References
    ----------
    https://github.com/facebook/zstd/wiki/Zstandard-as-a-patching-engine
    """

    codec_id: ClassVar[str] = "slashbench.zstd-patch"

    def __init__(self, level: int = 3) -> None:
        if not 1 <= level <= 22:
            raise ValueError(f"level must be 1 to 22, not {level}")
        self.level = level

    def compress(self, flat: Array, base: Array) -> bytes:
        """Return a Zstandard frame."""
        log = max(10, int(flat.nbytes + base.nbytes).bit_length())
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self.level, window_log=min(log, _LONGEST_WINDOW), enable_ldm=True
        )
        made = zstandard.ZstdCompressor(compression_params=parameters, dict_data=_dictionary(base))
        return made.compress(flat.view(np.uint8).data)

    def decompress(self, payload: Any, base: Array, flat: Array) -> None:
        """Fill `flat` from a frame."""
        reader = zstandard.ZstdDecompressor(
            dict_data=_dictionary(base), max_window_size=1 << _LONGEST_WINDOW
        )
        try:
            raw = reader.decompress(payload.data, max_output_size=flat.nbytes)
        except zstandard.ZstdError as error:
            raise CorruptStream(f"the Zstandard frame is damaged: {error}") from error
        if len(raw) != flat.nbytes:
            raise CorruptStream(f"the frame holds {len(raw)} bytes, the tensor {flat.nbytes}")
        flat.view(np.uint8)[:] = np.frombuffer(raw, np.uint8)


def _dictionary(base: Array) -> Any:
    return zstandard.ZstdCompressionDict(base.tobytes(), dict_type=zstandard.DICT_TYPE_RAWCONTENT)
