"""Where and with what something is measured: machine, versions, commit, command."""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from slashbench.record import Provenance
from slashbench.version import __version__

LIBRARIES = ("torch", "numpy", "scipy", "numba", "constriction", "zstandard", "numcodecs",
             "safetensors", "transformers", "tokenizers", "scikit-learn", "brotli", "lz4", "blosc2",
             "pcodec", "zipnn", "openzl", "nncodec", "lmzip", "z4ai", "bigsmall", "zfpy",
             "deflate", "isal")  # fmt: skip
#: The folders of an absolute path, or of one below a user's: at the beginning of a word, or of a
#: value in it. A URL of a file is one.
_FOLDERS = re.compile(
    r"(?<![^=:,])(?:file:/*(?=/)|~[^/\\=:,]*|[A-Za-z]:)?[/\\](?:[^/\\=:,]*[/\\])*(?=[^/\\=:,])"
)
_URL = re.compile(r"(?!file:)\b[A-Za-z][A-Za-z0-9+.-]*://[^,]*")
ENVIRONMENT = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS")


@functools.cache
def machine() -> str:
    """Return a fingerprint of the hardware that times depend on."""
    text = f"{cpu_model()}|{os.cpu_count()}|{platform.machine()}|{platform.system()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.cache
def cpu_model() -> str:
    """Return the name of the processor, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def now() -> str:
    """Return the time in UTC, as records have it: later ones sort later."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def command_line() -> str:
    """Return the command that this process was started with, as `portable` has it."""
    return portable(["bench", *sys.argv[1:]])


def portable(words: Sequence[str]) -> str:
    """Return a command line that names no folder of the machine it ran on.

    The value of `--out` becomes DIR, an address becomes URL, and of an absolute path the last name
    is left: the rest may tell who somebody is, or let others in, and nobody else has it.

    >>> portable(["bench", "run", "--out=/home/ann/r", "--eval", "text:/home/ann/a b.txt"])
    "bench run --out=DIR --eval 'text:a b.txt'"
    """
    kept = []
    for before, word in zip(["", *words], words, strict=False):
        if before == "--out":
            kept.append("DIR")
        elif word.startswith("--out="):
            kept.append("--out=DIR")
        else:
            kept.append(_FOLDERS.sub("", _URL.sub("URL", word)))
    return shlex.join(kept)


def provenance(torch_threads: int | None, command: str = "", run: str = "") -> Provenance:
    """Return the provenance of what is measured now.

    Parameters
    ----------
    torch_threads
        Threads of torch, if it takes part.
    command
        The command that asked for it, if it is not this process's.
    run
        Name of the run that it belongs to.
    """
    commit, dirty = _commit()
    return Provenance(
        measured_at=now(),
        command_line=command or command_line(),
        run=run,
        slashbench=__version__,
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu_model=cpu_model(),
        cpu_count=os.cpu_count() or 1,
        ram_bytes=psutil.virtual_memory().total,
        load_average=psutil.getloadavg()[0],
        torch_threads=torch_threads,
        libraries=_libraries(),
        environment={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    )


@functools.cache
def _libraries() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
def _commit() -> tuple[str | None, bool | None]:
    """Return commit and dirty flag of the checkout that this package runs from, if any."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).resolve().parent
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # or the checkout is another's
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None
