"""Whether a compressed checkpoint is whole, and whether it is what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slashbench.bench.checkpoint import convert, plain_header
from slashbench.bench.checkpoint.reader import Checkpoint, Run
from slashbench.bench.checkpoint.sources import Source
from slashbench.grid import TensorScale

Bytes = npt.NDArray[np.uint8]


@dataclass
class Comparison:
    """What a compressed checkpoint and an original have in common."""

    same_header: bool = True  # and so, where no tensor differs or is quantized, the same bytes
    exact: set[str] = field(default_factory=set)
    rounded: dict[str, float] = field(default_factory=dict)  # the largest error, absolute
    differing: dict[str, str] = field(default_factory=dict)  # and how


def check(checkpoint: Checkpoint, progress: convert.Progress = convert.quiet) -> None:
    """Decode everything. Raises CorruptFile for what a checksum, or a decoder, finds wrong."""
    done = 0
    for _, raw in checkpoint.stream():
        done += raw.size
        progress(done)


def compare(
    checkpoint: Checkpoint, original: Source, progress: convert.Progress = convert.quiet
) -> Comparison:
    """Decode everything and compare it with a plain file: bit by bit, or, where it is quantized to
    multiples of one step, to half a step.

    Raises CorruptFile as `check` does.
    """
    ours, theirs = checkpoint.header.tensors, original.header.tensors
    found = Comparison(same_header=checkpoint.header.text == original.header.text)
    for name in sorted(ours.keys() ^ theirs.keys()):
        found.differing[name] = "only in the " + ("compressed file" if name in ours else "original")
    for name in ours.keys() & theirs.keys():
        mine, other = ours[name], theirs[name]
        if (mine.dtype, mine.shape) != (other.dtype, other.shape):
            found.differing[name] = (
                f"{mine.dtype} {list(mine.shape)}, was {other.dtype} {list(other.shape)}"
            )
    done = 0
    for run, raw in checkpoint.stream():
        if run.name in theirs and run.name not in found.differing:
            _compare(checkpoint, run, raw, original.read(run.name)[run.begin : run.end], found)
        if run.end == ours[run.name].nbytes and run.name in theirs:
            original.release(run.name)
        done += raw.size
        progress(done)
    found.exact = (ours.keys() & theirs.keys()) - found.rounded.keys() - found.differing.keys()
    return found


def _compare(checkpoint: Checkpoint, run: Run, raw: Bytes, was: Bytes, found: Comparison) -> None:
    grid = run.blob.grid
    if grid is None:
        if not np.array_equal(raw, was):
            found.differing[run.name] = "other bytes"
        return
    dtype = plain_header.numpy_dtype(checkpoint.header.tensors[run.name])
    weight = was.view(dtype).astype(np.float64)
    errors = np.abs(raw.view(dtype).astype(np.float64) - weight)
    if isinstance(grid, TensorScale):
        room = 0.501 * grid.scale + np.abs(weight) * 2.0**-8  # and what the dtype rounds
        if not (errors <= room).all():
            found.differing[run.name] = f"off by more than half a step of {grid.scale:g}"
            return
    found.rounded[run.name] = max(found.rounded.get(run.name, 0.0), float(errors.max(initial=0)))
