"""A watcher of stages that shows nothing."""

from __future__ import annotations


class Quiet:
    """Watch nothing."""

    def stage(self, cell: object, name: str) -> None: ...

    def progress(self, fraction: float, text: str) -> None: ...
