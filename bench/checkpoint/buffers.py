"""Memory for many tensors at once: in few large blocks, which the system has large pages for.

Linux clears and maps a fresh page of 4 KiB each time one is first touched. For tensors of a few
megabytes that takes longer than decoding them. NumPy asks for pages of 2 MiB for what is large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

BLOCK = 64 << 20  # bytes: one tensor that is kept holds as many at most, beyond its own
_ALIGNED = 64  # a line of the cache, and what PyTorch aligns its tensors to
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Room:
    """An array of bytes for each name, side by side in the blocks; what is in them is undefined."""

    arrays: dict[str, Bytes]
    blocks: list[Bytes]

    @classmethod
    def of(cls, sizes: Mapping[str, int]) -> Room:
        """Room for so many bytes each."""
        room = cls({}, [])
        group: dict[str, int] = {}  # name -> where in the block it begins
        end = 0
        for name, size in sizes.items():
            if group and end + size > BLOCK:
                room._add(group, end, sizes)
                group, end = {}, 0
            group[name] = end
            end += -(-size // _ALIGNED) * _ALIGNED
        room._add(group, end, sizes)
        return room

    def while_mapped(self, work: Callable[[], None]) -> None:
        """Do some work while another thread touches every page."""
        with ThreadPoolExecutor(1) as pool:
            touched = pool.submit(self._touch)
            work()
            touched.result()

    def _add(self, group: Mapping[str, int], end: int, sizes: Mapping[str, int]) -> None:
        block = np.empty(end + _ALIGNED, np.uint8)
        start = -block.ctypes.data % _ALIGNED
        for name, begin in group.items():
            self.arrays[name] = block[start + begin : start + begin + sizes[name]]
        self.blocks.append(block)

    def _touch(self) -> None:
        for block in self.blocks:
            block[::_PAGE] = 0
