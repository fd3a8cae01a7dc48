"""The machine: Python, cores, memory, disk, folders that are written to, torch and CUDA."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from slashbench.bench.data import cache
from slashbench.bench.doctor.health_check import HealthCheck
from slashbench.bench.machine import provenance
from slashbench.version import __version__

_GIB = 2**30
_MEMORY = 4.25 * _GIB  # the main job takes 4.02 GiB at the most
_DISK = 2 * _GIB  # its artifacts, and files that are fetched
_OLDEST = (3, 11)


def machine() -> Iterator[HealthCheck]:
    """Yield versions, cores and memory."""
    version = platform.python_version()
    said = f"{version}, slashbench {__version__}, {platform.platform()}"
    if sys.version_info < _OLDEST:
        yield HealthCheck("machine", "Python", "problem", said, "use Python 3.11 or later")
    else:
        yield HealthCheck("machine", "Python", "good", said)
    cores = os.cpu_count() or 1
    yield HealthCheck("machine", "cores", "good", f"{cores} of {provenance.cpu_model()}")
    memory = psutil.virtual_memory()
    said = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB are free"
    if memory.available < _MEMORY:
        remedy = "close other programs, or use --jobs 0: the main job takes up to 4 GiB"
        yield HealthCheck("machine", "memory", "note", said, remedy)
    else:
        yield HealthCheck("machine", "memory", "good", said)


def folders() -> Iterator[HealthCheck]:
    """Yield whether the folders that slashbench writes to take files, and how much room they have.

    Where it looks it writes an empty file, and removes it.
    """
    for name, folder, remedy in (
        ("working folder", Path.cwd(), "run elsewhere, or give --out a folder that can be written"),
        ("temporary folder", Path(tempfile.gettempdir()), "set TMPDIR to another folder"),
        ("cache", cache.folder(), f"set {cache.VARIABLE} to another folder"),
    ):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if (why := _unwritable(there)) is not None:
            yield HealthCheck("folders", name, "problem", f"{folder}: {why}", remedy)
            continue
        free = shutil.disk_usage(there).free
        said = f"{folder}, {free / _GIB:.1f} GiB are free"
        if free < _DISK:
            yield HealthCheck("folders", name, "note", said, f"make room, or {remedy}")
        else:
            yield HealthCheck("folders", name, "good", said)


def _unwritable(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def torch_build() -> Iterator[HealthCheck]:
    """Yield which build of torch is here, and CUDA devices; torch is imported only for these."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return  # requirements say it
    build = built_for(version)
    driver = ctypes.util.find_library("cuda") is not None or Path("/dev/nvidia0").exists()
    if not build:
        said = f"{version}, for the CPU"
        if driver:
            yield HealthCheck(
                "torch",
                "torch",
                "note",
                f"{said}, but there is an NVIDIA driver",
                "install a CUDA build of torch to train with --device cuda",
            )
        else:
            yield HealthCheck("torch", "torch", "good", said)
        return
    if not driver:
        yield HealthCheck("torch", "torch", "good", f"{version}, for CUDA {build}; no driver here")
        return
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        said = f"{version}, CUDA {build}: {', '.join(devices)}"
        yield HealthCheck("torch", "torch", "good", said)
    else:
        yield HealthCheck(
            "torch",
            "torch",
            "note",
            f"{version}, for CUDA {build}, finds no device",
            "check nvidia-smi: the driver may be older than this build asks for",
        )


def built_for(version: str) -> str:
    """Return the version of CUDA that torch was built for, without importing it; empty: none."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    file = Path(spec.origin).with_name("version.py")
    if not file.is_file():
        return "" if "+cpu" in version else "an unknown version"
    found = re.search(r"^cuda\b.*= *'([\d.]+)'", file.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""
