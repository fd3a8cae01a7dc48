"""Compiled inner loops: the bit-serial work that NumPy can't express.

A kernel takes arrays its caller allocated and returns a status. It checks every index against the
array it is about to touch, so a hostile stream ends in an error, never in foreign memory. The
Python functions beside the kernels size the arrays and turn a status into CorruptStream.
"""

from __future__ import annotations

from slashbench.compiled import brief, kernel

__all__ = ["brief", "kernel"]
