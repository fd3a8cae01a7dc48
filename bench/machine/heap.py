"""Memory of this process: the most it held, and what it has freed, given back or kept."""

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


def peak_rss_bytes() -> int | None:
    """Return the peak resident memory of this process, or None if the system can't tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
