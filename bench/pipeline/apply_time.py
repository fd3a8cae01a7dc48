"""How long an update takes to apply: from its file and the base to the whole weights."""

from __future__ import annotations

from pathlib import Path

from slashbench.bench.checkpoint import base_files, reader, update
from slashbench.bench.machine import timing
from slashbench.record import Samples


def timed(path: Path, base: Path) -> Samples:
    """Open, check, decode and add to the base, which is in memory already, on all cores.

    The hash over the base is part of it: nothing is added to weights that were not looked at.
    """
    known = update.of_base(base_files.opened(base))
    return timing.time_alone(lambda: update.whole(reader.opened(path, trusted=True), known))
