"""A place for snapshots of a training that forgets the later ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path


class SnapshotMemory:
    """Keeps the last of the first `writes` snapshots, as if the process had died after it."""

    def __init__(self, writes: int) -> None:
        self.left = writes
        self.data: bytes | None = None

    def read(self) -> bytes | None:
        return self.data

    def write(self, save: Callable[[Path], None]) -> None:
        self.left -= 1
        if self.left >= 0:
            with tempfile.TemporaryDirectory() as folder:
                save(path := Path(folder) / "snapshot")
                self.data = path.read_bytes()
