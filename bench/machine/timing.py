"""Time, memory and the machine they were measured on."""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from slashbench import __version__
from slashbench.errors import StageBusy
from slashbench.record import Provenance, Samples

LIBRARIES = ("torch", "numpy", "scipy", "numba", "constriction", "zstandard", "numcodecs",
             "safetensors", "transformers", "tokenizers", "scikit-learn", "brotli", "lz4", "blosc2",
             "pcodec", "zipnn", "openzl", "nncodec")  # fmt: skip
ENVIRONMENT = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS")

CONTENDED = 1.1  # wall over CPU time above which something else ran on the core

_PATIENCE_S = 1.0  # for stages that are about to end; while it lasts no other one starts


@contextmanager
def alone() -> Iterator[None]:
    """While this lasts, no other slashbench on this machine is timing."""
    with filelock.FileLock(Path(tempfile.gettempdir()) / "slashbench-timing.lock"):
        yield


@contextmanager
def at_work() -> Iterator[None]:
    """While this lasts, `undisturbed` is not to be had on this machine."""
    with _machine_lock().read_lock():
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """While this lasts, no other slashbench on this machine is `at_work`, nor starts to be.

    Raises StageBusy where one is and does not end within a second.
    """
    lock = _machine_lock()
    try:
        lock.acquire_write(_PATIENCE_S)
    except filelock.Timeout as error:
        raise StageBusy("timing waits for other work on this machine to end") from error
    try:
        yield
    finally:
        lock.release()


def _machine_lock() -> filelock.ReadWriteLock:
    return filelock.ReadWriteLock(Path(tempfile.gettempdir()) / "slashbench-machine.lock")


def time_alone(
    operation: Callable[[], object], *, least: int = 3, most: int = 7, budget_s: float = 1.0
) -> Samples:
    """Time `operation` after one warm-up, while no other slashbench on this machine is timing.

    Takes at least `least` samples, then more up to `most` while they fit in `budget_s` seconds.
    """
    with alone():
        operation()
        wall_ns: list[int] = []
        cpu_ns: list[int] = []
        while len(wall_ns) < least or (len(wall_ns) < most and sum(wall_ns) < budget_s * 1e9):
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            operation()
            cpu_ns.append(time.process_time_ns() - cpu)
            wall_ns.append(time.perf_counter_ns() - wall)
    return Samples(wall_ns=wall_ns, cpu_ns=cpu_ns, warmup=1)


def contended(samples: Samples) -> bool:
    """Whether the median sample waited for a core: wall time over 1.1 x CPU time."""
    ratios = sorted(w / max(c, 1) for w, c in zip(samples.wall_ns, samples.cpu_ns, strict=True))
    return ratios[len(ratios) // 2] > CONTENDED


def peak_rss_bytes() -> int | None:
    """Peak resident memory of this process, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@functools.cache
def machine() -> str:
    """Fingerprint of this machine's timing-relevant hardware."""
    text = f"{cpu_model()}|{os.cpu_count()}|{platform.machine()}|{platform.system()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.cache
def cpu_model() -> str:
    """The processor's name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def now() -> str:
    """This moment in UTC, as records have it: later ones sort later."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def command_line() -> str:
    """The command that this process was started with."""
    return shlex.join(["bench", *sys.argv[1:]])


def provenance(torch_threads: int | None, command: str = "") -> Provenance:
    """Where and with what the work at hand is done, now; command: that asks for it, if not ours."""
    commit, dirty = _commit()
    return Provenance(
        measured_at=now(),
        command_line=command or command_line(),
        slashbench=__version__,
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu_model=cpu_model(),
        cpu_count=os.cpu_count() or 1,
        ram_bytes=_ram_bytes(),
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
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
    """Commit and dirty flag of the checkout this package runs from, if it is one."""

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
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _ram_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
