"""How long an update takes to apply: from its file and the base to the whole weights."""

from __future__ import annotations

from pathlib import Path

from slashbench.bench.checkpoint import reader
from slashbench.bench.machine import timing
from slashbench.bench.pipeline import artifact
from slashbench.record import Samples


def timed(path: Path, base: Path) -> Samples:
    """Open, check, decode and add to the base, which is in memory already, on all cores.

    The hash over the base is part of it: nothing is added to weights that were not looked at.
    """
    known = artifact.plain(base)
    return timing.time_alone(lambda: artifact.whole(reader.opened(path, trusted=True), known))
