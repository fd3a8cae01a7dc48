"""Zstandard with the base as its dictionary."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import zstandard

from slashbench.arrays import Array
from slashbench.codecs.families.byte_codec import level_in
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
        self.level = level_in(level, 1, 22)

    def compress(self, flat: Array, base: Array) -> bytes:
        """Return a Zstandard frame."""
        log = max(10, int(flat.nbytes + base.nbytes).bit_length())
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self.level, window_log=min(log, _LONGEST_WINDOW), enable_ldm=True
        )
        made = zstandard.ZstdCompressor(compression_params=parameters, dict_data=_dictionary(base))
        return made.compress(flat.view(np.uint8).data)

    def decompress(self, payload: Any, base: Array, flat: Array) -> None:
        """Fill `flat` from a frame; refuse unopened one that declares another number of bytes."""
        reader = zstandard.ZstdDecompressor(
            dict_data=_dictionary(base), max_window_size=1 << _LONGEST_WINDOW
        )
        try:
            declared = zstandard.get_frame_parameters(payload.data).content_size
            if declared != flat.nbytes:
                raise CorruptStream(f"the frame declares {declared} bytes, not {flat.nbytes}")
            raw = reader.decompress(
                payload.data, max_output_size=flat.nbytes, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise CorruptStream(f"the Zstandard frame is damaged: {error}") from error
        flat.view(np.uint8)[:] = np.frombuffer(raw, np.uint8)


def _dictionary(base: Array) -> Any:
    return zstandard.ZstdCompressionDict(base.tobytes(), dict_type=zstandard.DICT_TYPE_RAWCONTENT)
