"""A compressed checkpoint of a store as NumPy arrays.

Reading imports no torch and runs no pickle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from slashbench.bench.checkpoint import reader, update


def read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Decode every tensor of a file of our own making, tied names included.

    Raises CorruptFile for anything that slashbench did not write.
    """
    return update.decoded(reader.opened(path, trusted=True))
