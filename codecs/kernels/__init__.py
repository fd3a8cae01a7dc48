"""Compiled inner loops: the bit-serial work that NumPy can't express.

A kernel takes arrays its caller allocated and returns a status. It checks every index against the
array it is about to touch, so a hostile stream ends in an error, never in foreign memory. The
Python functions beside the kernels size the arrays and turn a status into CorruptStream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile on first use, keep the machine code on disk, and let other threads run meanwhile.

    Numba checks the age of a kernel's own file only: after editing a helper that other files'
    kernels call (`bitio`), delete `kernels/__pycache__`.
    """
    return cast(Function, numba.njit(cache=True, nogil=True)(function))


def brief(function: Function) -> Function:
    """A kernel of some microseconds, which keeps the interpreter's lock.

    To let it go and to wait for it again takes longer than the work, where threads contend for it.
    """
    return cast(Function, numba.njit(cache=True)(function))
