"""Compiled inner loops: the bit-serial work that NumPy can't express.

A kernel takes arrays its caller allocated and returns a status. It checks every index against the
array it is about to touch, so a hostile stream ends in an error, never in foreign memory. The
Python functions beside the kernels size the arrays and turn a status into CorruptStream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from slashbench.codecs.kernels.disk_cache import cache_of

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile on first use, keep the machine code on disk, and let other threads run meanwhile.

    Numba looks at a kernel's own file only to see whether it has changed: after editing a helper
    that other files' kernels call (`bitio`), delete `kernels/__pycache__`.
    """
    return _compiled(function, nogil=True)


def brief(function: Function) -> Function:
    """Compile a kernel of some microseconds, which keeps the interpreter's lock.

    To let it go and to wait for it again takes longer than the work, where threads contend for it.
    """
    return _compiled(function, nogil=False)


def _compiled(function: Function, nogil: bool) -> Function:
    compiled: Any = numba.njit(nogil=nogil)(function)
    if compiled is not function:  # as it is where NUMBA_DISABLE_JIT is set
        compiled._cache = cache_of(function)  # `cache=True` sets this, and fails without a folder
    return cast(Function, compiled)
