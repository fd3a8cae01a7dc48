"""Memory that a process has freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Give back what glibc holds in reserve after a training, which can be a gigabyte."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # others than glibc have none
        if trim is not None:
            trim(0)
