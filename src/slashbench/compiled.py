"""Inner loops compiled by Numba, and where their machine code is kept on disk.

Numba keeps it beside the source, or in the user's cache folder. A container often has neither
(packages of root, a user id without a home): then it goes to a folder of this user in the temporary
folder, and where there is none, each process compiles for itself. No fault of the disk, full or
read-only, stops a codec.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import caching

# Numba is typed in part.
_CONFIG: Any = numba.config
_FunctionCache: Any = caching.FunctionCache

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


@functools.cache
def _leave_blas() -> None:
    """Let Numba load what it knows of arrays, and not SciPy's BLAS, which takes as long again.

    Numba only asks whether there is one. What needs it imports it then.
    """
    with contextlib.suppress(ImportError, AttributeError):  # another Numba: then it takes longer
        linalg: Any = importlib.import_module("numba.np.linalg")
        usual = linalg.ensure_blas
        if importlib.util.find_spec("scipy") is None:
            return
        linalg.ensure_blas = lambda: None
        try:
            arrays: Any = importlib.import_module("numba.np.arraymath")
            arrays.ensure_blas = usual
        finally:
            linalg.ensure_blas = usual


class _Cache(_FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function, whose faults cost a compilation and no more."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code, or None if there is none that can be read."""
        _leave_blas()
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a file cut off, made by root, of another version: of any kind
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the machine code if the disk lets us."""
        try:
            super().save_overload(sig, data)
        except Exception:  # a full disk, or an index that can't be read
            # Numba writes the index first: it may lead to code of an earlier source by now. Without
            # one the next process begins anew.
            with contextlib.suppress(OSError):
                Path(self._cache_file._index_path).unlink()
            self.disable()


def cache_of(function: Callable[..., Any]) -> Any:
    """Return Numba's cache for the machine code of a function."""
    with contextlib.suppress(RuntimeError):  # Numba's word for "nowhere to write"
        return _Cache(function)
    folder = _temporary_folder()
    if folder is None:
        return caching.NullCache()
    usual, _CONFIG.CACHE_DIR = _CONFIG.CACHE_DIR, folder
    try:
        return _Cache(function)
    except RuntimeError:
        return caching.NullCache()
    finally:
        _CONFIG.CACHE_DIR = usual


def kept_in(compiled: Callable[..., Any]) -> Path | None:
    """Return the folder where the machine code of a kernel is kept; None where nothing is."""
    folder = getattr(getattr(compiled, "_cache", None), "cache_path", None)
    return None if folder is None else Path(folder)


@functools.cache
def _temporary_folder() -> str | None:
    """Return a folder that only this user can write to, since what lies in it is run."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    try:
        folder = Path(tempfile.gettempdir(), f"slashbench-kernels-{user}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022
    return str(folder) if mine else None
