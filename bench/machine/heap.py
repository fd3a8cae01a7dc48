"""Memory that a process has freed: given back to the system, or kept."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt
_MOST_KEPT, _MOST_MAPPED = 1 << 30, 32 << 20  # bytes; the second is glibc's limit


def give_back() -> None:
    """Give back what glibc holds in reserve after a training, which can be a gigabyte."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # others than glibc have none
        if trim is not None:
            trim(0)


def keep() -> None:
    """Keep freed memory for the next allocation, for the rest of the process, where glibc can.

    Otherwise it goes back to the system at glibc's will, by what was allocated before, and whoever
    comes next waits for its pages: up to half of the time of decoding a matrix.
    """
    if sys.platform == "linux":
        option = getattr(ctypes.CDLL(None), "mallopt", None)
        if option is not None:
            option(_TRIM_THRESHOLD, _MOST_KEPT)
            option(_MMAP_THRESHOLD, _MOST_MAPPED)
