"""A file as an array of bytes: read where it is touched, given back when it is done with."""

from __future__ import annotations

import contextlib
import mmap
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slashbench.errors import UsageError

Bytes = npt.NDArray[np.uint8]

_POPULATE_READ = 22  # MADV_POPULATE_READ, which Python's mmap has no name for


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
