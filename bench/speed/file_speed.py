"""Whole files made smaller and restored: size, time and memory of tools side by side.

Every step is a process of its own, so its time begins with the start of Python and the import of
the tool, and its memory is that of nobody else. Tools take turns, round by round. A restored file
must hold the same tensors, bit for bit, or the tool is reported as failed. The rows of lossy tools
stand below the others and say how far their weights are from the file's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import msgspec
import numpy as np

from slashbench import selector
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.report.tables import Table, number
from slashbench.bench.speed.file_tools import TOOLS
from slashbench.errors import SlashbenchError, UsageError
from slashbench.record import Provenance

#: NumPy's names of floats in a file.
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16}

LEGEND = """\
save, restore: seconds of the whole process, from the start of Python, median of the rounds; in \
brackets those of the step alone · MB: most memory that process held · error: distance of the \
restored weights from the file's, over the length of these"""

_LONGEST_S = 600.0  # of one step


class FileSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """One tool on one file."""

    tool: str
    how: str
    file: str
    plain_bytes: int
    packed_bytes: int
    save_s: list[float]
    save_step_s: list[float]
    save_peak_kib: int
    restore_s: list[float]
    restore_step_s: list[float]
    restore_peak_kib: int
    error: float = 0.0  # root mean square, of the weights'; 0: the same bits
    bits: float = 0.0  # a weight, of a lossy tool


class FileSpeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `bench speed --files` measured. note: what a reader should know of it."""

    files: list[FileSpeed]
    provenance: list[Provenance]
    note: str = ""


def contestants(text: str | None) -> tuple[list[str], dict[str, str]]:
    """(names of tools of a list, None for all; what is left out, and why). Raises UsageError."""
    names = list(TOOLS) if text is None else list(dict.fromkeys(selector.split_list(text)))
    if unknown := [name for name in names if name not in TOOLS]:
        raise UsageError(f"no tool {unknown[0]!r} for files; there are {', '.join(TOOLS)}")
    left_out = {name: why for name in names if (why := TOOLS[name].missing())}
    return [name for name in names if name not in left_out], left_out


def run(
    files: Sequence[Path],
    names: Sequence[str],
    rounds: int,
    progress: Callable[[str, float], None],
    failed: dict[str, str],
) -> Iterator[list[FileSpeed]]:
    """Yield the measurements of each file; `failed` takes what did not work, and why.

    A tool that fails on a file is left out of that file's. Raises UsageError for no such file, and
    for fewer rounds than one.
    """
    if rounds < 1:
        raise UsageError("repeats must be at least 1")
    for plain in files:
        if not plain.is_file():
            raise UsageError(f"nothing at {plain}; name a safetensors file")
    for plain in files:
        racing = list(names)
        steps: dict[str, list[tuple[float, float, int, float, float, int]]] = {}
        sizes: dict[str, int] = {}
        errors: dict[str, tuple[float, int]] = {}
        with tempfile.TemporaryDirectory() as made:
            for turn in range(rounds):
                for at, name in enumerate(tuple(racing)):
                    progress(f"{plain.name}: {name}", (turn + at / len(racing)) / rounds)
                    packed, again = Path(made, name), Path(made, "again.safetensors")
                    packed.unlink(missing_ok=True)
                    again.unlink(missing_ok=True)
                    try:
                        saved = _step(name, "save", plain, packed)
                        restored = _step(name, "restore", packed, again)
                        if turn == 0:
                            errors[name] = distance(plain, again)
                        if errors[name][0] and not TOOLS[name].lossy:
                            raise UsageError("the restored tensors differ")
                    except (SlashbenchError, OSError) as error:
                        failed[f"{name} on {plain.name}"] = str(error)
                        racing.remove(name)
                        steps.pop(name, None)
                        continue
                    sizes[name] = packed.stat().st_size
                    steps.setdefault(name, []).append((*saved, *restored))
        yield [
            _speed(name, plain, sizes[name], found, *errors[name]) for name, found in steps.items()
        ]


def _speed(
    name: str, plain: Path, size: int, found: list[Any], error: float, weights: int
) -> FileSpeed:
    save, save_step, save_peak, restore, restore_step, peak = zip(*found, strict=True)
    return FileSpeed(
        tool=name,
        how=TOOLS[name].how,
        file=plain.name,
        plain_bytes=plain.stat().st_size,
        packed_bytes=size,
        save_s=list(save),
        save_step_s=list(save_step),
        save_peak_kib=max(save_peak),
        restore_s=list(restore),
        restore_step_s=list(restore_step),
        restore_peak_kib=max(peak),
        error=error,
        bits=8 * size / weights if TOOLS[name].lossy and weights else 0.0,
    )


def _step(name: str, step: str, before: Path, after: Path) -> tuple[float, float, int]:
    """(seconds of the process, of the step, its memory in KiB). Raises UsageError if it fails."""
    command = [sys.executable, "-m", "slashbench.bench.speed.file_worker", name, step]
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            [*command, str(before), str(after)], capture_output=True, timeout=_LONGEST_S
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"{step}: not done in {_LONGEST_S:.0f} s") from None
    seconds = time.perf_counter() - begin
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(f"{step}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    said = json.loads(done.stdout.splitlines()[-1])
    return seconds, said["seconds"], said["peak_kib"]


def distance(plain: Path, again: Path) -> tuple[float, int]:
    """Return (root mean square error of the floats, as a share of theirs; how many there are).

    0 if all tensors are the same, whatever their headers look like. Raises UsageError if others
    than floats differ.
    """
    one, other = _tensors(plain), _tensors(again)
    wrong = total = 0.0
    weights = 0
    if {n: found[:2] for n, found in one.items()} != {n: found[:2] for n, found in other.items()}:
        raise UsageError("the restored tensors have other names, types or shapes")
    for name, (kind, _, raw) in one.items():
        floats = _FLOATS.get(kind)
        if floats is None:
            if raw != other[name][2]:
                raise UsageError(f"the restored tensor {name!r} differs")
            continue
        weight = np.frombuffer(raw, floats).astype(np.float64)
        weights += weight.size
        total += float(weight @ weight)
        if raw != other[name][2]:
            far = weight - np.frombuffer(other[name][2], floats).astype(np.float64)
            wrong += max(float(far @ far), 1e-300)  # other bits, if only of a NaN or a zero
    return (wrong / max(total, 1e-300)) ** 0.5 if wrong else 0.0, weights


def _tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    data = np.fromfile(path, np.uint8)
    header, start = plain_header.read(data)
    return {
        name: (found.dtype, found.shape, data[start + found.begin : start + found.end].tobytes())
        for name, found in header.tensors.items()
    }


def boards(found: FileSpeeds) -> list[Table]:
    """Return a table for each file."""
    by_file: dict[str, list[FileSpeed]] = {}
    for speed in found.files:
        by_file.setdefault(speed.file, []).append(speed)
    return [table(speeds) for speeds in by_file.values()]


def table(speeds: Sequence[FileSpeed]) -> Table:
    """Return the board of one file, the smallest first."""
    rows: list[tuple[str, ...]] = [
        (
            speed.tool,
            f"{speed.packed_bytes:,}",
            number(100 * speed.packed_bytes / speed.plain_bytes, 2) + " %",
            _seconds(speed.save_s, speed.save_step_s),
            _seconds(speed.restore_s, speed.restore_step_s),
            number(speed.save_peak_kib / 1e3, 0),
            number(speed.restore_peak_kib / 1e3, 0),
            _how(speed),
        )
        for speed in sorted(speeds, key=lambda s: (s.error > 0, s.packed_bytes))
    ]
    return Table(
        title=speeds[0].file,
        about=f"{speeds[0].plain_bytes:,} bytes, {len(speeds[0].save_s)} rounds",
        columns=("tool", "bytes", "of plain", "save s", "restore s", "save MB", "restore MB",
                 "run as"),
        rows=rows,
    )  # fmt: skip


def _how(speed: FileSpeed) -> str:
    """Return how a tool was run, and of a lossy one what it made of the weights."""
    if not speed.error:
        return speed.how
    return f"{speed.how}; lossy: {speed.bits:.2f} bits a weight, error {100 * speed.error:.2g} %"


def _seconds(whole: list[float], step: list[float]) -> str:
    return f"{statistics.median(whole):.2f} ({statistics.median(step):.2f})"
