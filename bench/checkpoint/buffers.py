"""Memory for tensors: mapped files to read from, and few large blocks to decode into.

Linux clears and maps a fresh page of 4 KiB each time one is first touched. For tensors of a few
megabytes that takes longer than decoding them. NumPy asks for pages of 2 MiB for what is large.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slashbench.arrays import Bytes
from slashbench.errors import UsageError

BLOCK = 64 << 20  # bytes: one tensor that is kept holds as many at most, beyond its own
_WORTH_A_THREAD = 1 << 20  # bytes, which take about as long to touch as a thread does to start
_ALIGNED = 64  # a line of the cache, and what PyTorch aligns its tensors to
_PAGE = 4096
_POPULATE_READ = 22  # MADV_POPULATE_READ, which Python's mmap has no name for


@dataclass(frozen=True, slots=True)
class Room:
    """An array of bytes for each name, side by side in the blocks; what is in them is undefined."""

    arrays: dict[str, Bytes]
    blocks: list[Bytes]

    @classmethod
    def of(cls, sizes: Mapping[str, int]) -> Room:
        """Make room for so many bytes each."""
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
        """Do some work while another thread touches every page, where there are many."""
        if sum(block.size for block in self.blocks) < _WORTH_A_THREAD:
            work()
            return
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


class Mapped:
    """A file's bytes, shape (size,), read-only. Raises UsageError for one that can't be read."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                self._map = (
                    mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else None
                )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{path} can't be read: {why}") from error
        self.data: Bytes = np.frombuffer(self._map or b"", np.uint8)

    def fetch(self) -> None:
        """Map all of it at once, which is quicker than page by page, where the system can do so."""
        if self._map is not None and sys.platform == "linux":
            with contextlib.suppress(OSError):  # before Linux 5.14
                self._map.madvise(_POPULATE_READ)

    def release(self, begin: int, end: int) -> None:
        """Take no more memory for these bytes, until they are touched again."""
        page = mmap.PAGESIZE
        first, last = -(-begin // page) * page, end // page * page
        if self._map is not None and last > first and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED, first, last - first)
