"""How long an update takes to apply: from its file and that of the base to the whole weights."""

from __future__ import annotations

from pathlib import Path

from slashbench.bench.checkpoint import base_files, reader, update
from slashbench.bench.machine import timing
from slashbench.record import Samples


def timed(path: Path, base: Path) -> Samples:
    """Open both files, check the base's hash, decode and add, on all cores."""

    def apply() -> None:
        update.whole(reader.opened(path, trusted=True), base_files.opened(base))

    return timing.time_alone(apply)
