"""Whether a compressed checkpoint is whole, and whether it is what it was made from.

A lossless tensor must have the original's bits. A quantized one must be what its quantiser makes of
the original: it is quantized anew and compared value by value, so that the check is as exact for a
quantiser that clips, or that weighs code length, as for plain rounding. Where a file does not say
how it was quantized, each value must be the nearest of its grid.
"""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from slashbench import renamed, selector
from slashbench.arrays import Array, Bytes
from slashbench.bench.checkpoint import convert, encoder, folders, plain_header, reader
from slashbench.bench.checkpoint.folders import Members
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.bench.checkpoint.reader import Checkpoint, DecodedSegment
from slashbench.bench.checkpoint.sources import Source
from slashbench.contracts import Quantiser, RowBlocks
from slashbench.errors import OtherBase, SlashbenchError, Unencodable, UsageError
from slashbench.grid import ChannelScales, Codebook, Grid, TensorScale
from slashbench.link import Link, only
from slashbench.trainers.catalog import QUANTISERS

#: Scales of two machines may differ so much, relatively: sums of floats depend on their order.
_SCALE = 2.0**-20
#: The two errors of a value in the middle between two levels, relatively.
_TIE = 2.0**-16


@dataclass
class FileComparison:
    """What a compressed checkpoint and an original have in common, tensor by tensor."""

    same_header: bool = True  # and so, where all tensors are exact, the same file
    exact: set[str] = field(default_factory=set)
    quantized: dict[str, float] = field(default_factory=dict)  # the largest error, absolute
    differing: dict[str, str] = field(default_factory=dict)  # and how
    unchecked: dict[str, str] = field(default_factory=dict)  # and why
    quantized_by: str = ""  # spelled; empty where the file does not say


def check(checkpoint: Checkpoint, progress: convert.Progress = convert.quiet) -> None:
    """Decode everything, and hash the whole base of a delta.

    Raises CorruptFile for what a checksum, or a decoder, finds wrong; OtherBase for another base.
    """
    named, base = checkpoint.index.base, checkpoint.base
    if named is not None and base is not None and base.identity() != named.hash:
        raise OtherBase(
            f"{base.where} is not the base that the file was made from: its hash is "
            f"{base.identity()}, not {named.hash}"
        )
    done = 0
    for _, raw in checkpoint.stream():
        done += raw.size
        progress(done)


def check_index(checkpoint: Checkpoint) -> None:
    """Check all that headers and tables say, by their checksums, and that sizes fit the plain file.

    Nothing is decoded: damage in the chunks goes unnoticed. Raises CorruptFile.
    """
    for name in checkpoint.header.tensors:
        checkpoint.check_structure(name)


def pairs(
    path: Path, original: Path, members: Callable[[Path], Members] = folders.members
) -> tuple[list[tuple[Path, Path]], dict[str, str]]:
    """Match the files of a compressed folder, or one file, with those of the original.

    members: finds what is in the original, where its weights may be in other formats.

    Returns
    -------
    (compressed file, original file) of all weights that both have, and what differs otherwise: a
    name below the folder and how. Raises UsageError where one of the two is a folder.
    """
    if not original.exists():
        raise UsageError(f"nothing at {original} to compare with")
    if path.is_dir() != original.is_dir():
        folder, file = (path, original) if path.is_dir() else (original, path)
        raise UsageError(f"{folder} is a folder, {file} is none: name two of a kind")
    if not path.is_dir():
        return [(path, original)], {}
    ours, theirs = folders.members(path), members(original)
    before = {theirs.renamed.get(name, name): name for name in (*theirs.weights, *theirs.beside)}
    differing = {}
    weights = [theirs.renamed.get(name, name) for name in theirs.weights]
    beside = [theirs.renamed.get(name, name) for name in theirs.beside]
    for mine, other in ((ours.weights, weights), (ours.beside, beside)):
        for name in set(mine) ^ set(other):
            where = "compressed folder" if name in mine else "original"
            differing[str(name)] = f"only in the {where}"
    for name in set(ours.beside) & set(theirs.beside):  # others were written anew
        if not filecmp.cmp(path / name, original / name, shallow=False):
            differing[str(name)] = "other bytes"
    both = sorted(set(ours.weights) & set(weights))
    return [(path / name, original / before[name]) for name in both], differing


def compare(
    checkpoint: Checkpoint,
    original: Source,
    quantiser: Link[Quantiser] | None = None,
    progress: convert.Progress = convert.quiet,
) -> FileComparison:
    """Decode everything and compare it with a plain file, quantized anew where that was quantized.

    Parameters
    ----------
    quantiser
        How the file was quantized, for one that does not say.

    Raises
    ------
    CorruptFile
        As `check` does.
    UsageError
        For another quantiser than the file names.
    """
    ours, theirs = checkpoint.header.tensors, original.header.tensors
    found = FileComparison(same_header=checkpoint.header.text == original.header.text)
    for name in sorted(ours.keys() ^ theirs.keys()):
        found.differing[name] = "only in the " + ("compressed file" if name in ours else "original")
    for name in ours.keys() & theirs.keys():
        mine, other = ours[name], theirs[name]
        if (mine.dtype, mine.shape) != (other.dtype, other.shape):
            found.differing[name] = (
                f"{mine.dtype} {list(mine.shape)}, was {other.dtype} {list(other.shape)}"
            )
    if checkpoint.header.metadata != original.header.metadata:
        found.differing[plain_header.METADATA] = "other text"
    anew = _Anew(checkpoint, original, quantiser, found)
    done = 0
    for run, raw in checkpoint.stream():
        if run.name in theirs and run.name not in found.differing:
            anew.compare(run, raw)
        if run.end == ours[run.name].nbytes and run.name in theirs:
            original.release(run.name)
        done += raw.size
        progress(done)
    found.quantized = {n: e for n, e in found.quantized.items() if n not in found.differing}
    found.unchecked = {n: w for n, w in found.unchecked.items() if n not in found.differing}
    found.exact = {
        name
        for name in ours.keys() & theirs.keys()
        if not any(name in kind for kind in (found.quantized, found.differing, found.unchecked))
    }
    return found


class _Anew:
    """The original, quantized again: one tensor at a time, a segment when it is asked for."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        original: Source,
        given: Link[Quantiser] | None,
        found: FileComparison,
    ) -> None:
        self._checkpoint, self._original, self._found = checkpoint, original, found
        self._quantiser, self._unknown = _quantiser(checkpoint, given)
        found.quantized_by = self._quantiser.text if self._quantiser is not None else ""
        self._name = ""
        self._blocks: RowBlocks | None = None

    def compare(self, run: DecodedSegment, raw: Bytes) -> None:
        """Note what a segment is, compared with the original."""
        was = self._original.read(run.name)[run.begin : run.end]
        if np.array_equal(raw, was):
            if run.blob.grid is not None:
                self._found.quantized.setdefault(run.name, 0.0)
            return
        if run.blob.grid is None:
            self._found.differing[run.name] = "other bytes"
            return
        tensor = self._checkpoint.header.tensors[run.name]
        dtype = plain_header.numpy_dtype(tensor)
        weights, values = was.view(dtype).astype(np.float64), raw.view(dtype).astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            errors = np.abs(values - weights)
        how = ""
        if not np.isfinite(errors).all():
            how = "values that are not finite"
        elif self._quantiser is None:
            if self._unknown:
                self._found.unchecked[run.name] = self._unknown
            else:
                how = _not_nearest(
                    run.blob.grid, tensor, run.begin // dtype.itemsize, weights, errors
                )
        else:
            how = self._not_anew(run, tensor, raw, weights, errors)
        if how:
            self._found.differing[run.name] = how
        known = self._found.quantized.get(run.name, 0.0)
        if run.name not in self._found.unchecked:
            self._found.quantized[run.name] = max(known, float(errors.max(initial=0)))

    def _not_anew(
        self, run: DecodedSegment, tensor: Tensor, raw: Bytes, weights: Array, errors: Array
    ) -> str:
        """Return how a segment is not what the quantiser makes of the original; empty if it is."""
        assert self._quantiser is not None
        if run.name != self._name:
            kept: dict[str, str] = {}
            whole = self._original.read(run.name)
            try:
                self._blocks = encoder.quantized(
                    self._quantiser.item.in_blocks, run.name, whole, tensor, kept
                )
            except Unencodable as error:
                return f"quantized, though {self._quantiser.text} refuses the original: {error}"
            self._name = run.name
        if self._blocks is None:
            return f"quantized, though {self._quantiser.text} leaves it as it is"
        grid = run.blob.grid
        assert grid is not None
        if not _alike(grid, self._blocks.grid):
            return f"its grid is not the one that {self._quantiser.text} finds for the original"
        dtype = plain_header.numpy_dtype(tensor)
        first, last = run.begin // dtype.itemsize, run.end // dtype.itemsize
        integers = _integers(self._blocks, tensor, first, last)
        made = reader.rebuilt(grid, tensor, first, integers)
        if np.array_equal(raw, made):
            return ""
        others = np.abs(made.view(dtype).astype(np.float64) - weights)
        same = raw.view(dtype) == made.view(dtype)
        wrong = ~(same | (np.abs(errors - others) <= _TIE * others))
        if not wrong.any():
            return ""
        return (
            f"{np.count_nonzero(wrong)} values are not those that {self._quantiser.text} makes of "
            f"the original, off by up to {errors[wrong].max():.3g}"
        )


def _quantiser(
    checkpoint: Checkpoint, given: Link[Quantiser] | None
) -> tuple[Link[Quantiser] | None, str]:
    """Return how a file was quantized, or why that can't be repeated; neither where it is unknown.

    Raises UsageError for another quantiser than the file names.
    """
    said = checkpoint.index.quantized_by
    if said is None:
        link = given
    else:
        try:
            pairs = (f"{key}={selector.spell_value(v)}" for key, v in said.settings.items())
            text = ":".join([said.name, *pairs])
            link = only(QUANTISERS, renamed.current("quantiser", text))
        except SlashbenchError as error:
            return None, f"it was quantized by {said.name}, which can't be used here: {error}"
        if given is not None and given.config != link.config:
            raise UsageError(f"the file was quantized by {link.text}, not by {given.text}")
        if link.config["revision"] != said.revision:
            return None, f"it was quantized by another revision of {said.name}, {said.revision}"
    if link is not None and encoder.looks_at_data(link.item):
        return None, f"{link.name} looks at a model and its data, so it can't be repeated here"
    return link, ""


def _integers(blocks: RowBlocks, tensor: Tensor, first: int, last: int) -> Array:
    """Return the integers of some values, of whole rows where the grid has some."""
    if not isinstance(blocks.grid, ChannelScales):
        return blocks.integers(blocks.weight.reshape(-1)[first:last], slice(first, last))
    row = tensor.count // len(blocks.weight)
    rows = slice(first // row, last // row)
    return blocks.integers(blocks.weight[rows], rows)


def _alike(one: Grid, other: Grid) -> bool:
    """Return whether two grids are the same, but for the last bits of their scales."""
    match one, other:
        case (
            (TensorScale(a), TensorScale(b))
            | (ChannelScales(a, None), ChannelScales(b, None))
            | (Codebook(a), Codebook(b))
        ):
            return _close(a, b)
        case ChannelScales(a, c), ChannelScales(b, d) if c is not None and d is not None:
            return _close(a, b) and _close(c, d)
    return False


def _close(one: Array | float, other: Array | float) -> bool:
    x, y = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return x.shape == y.shape and bool((np.abs(x - y) <= _SCALE * np.abs(y)).all())


def _not_nearest(grid: Grid, tensor: Tensor, first: int, weights: Array, errors: Array) -> str:
    """Return how many values are not the nearest of their grid, in words; empty if all are."""
    if isinstance(grid, Codebook):
        levels = np.sort(grid.levels.astype(np.float64))
        above = np.searchsorted(levels, weights).clip(1, max(1, len(levels) - 1))
        ends = levels[np.stack([above - 1, np.minimum(above, len(levels) - 1)])]
        least = np.abs(weights - ends).min(axis=0)
    else:
        ones = np.ones(len(weights), np.int32).reshape(reader.in_rows(grid, tensor))
        scales = reader.grid_of(grid, tensor, first, first + ones.size).rebuild(ones).reshape(-1)
        scales = np.abs(scales.astype(np.float64))
        with np.errstate(divide="ignore", invalid="ignore"):
            least = np.abs(weights - np.rint(weights / scales) * scales)
    dtype = plain_header.numpy_dtype(tensor)
    digits = max(float(np.finfo(np.float32).eps), float(_eps(dtype)))
    wrong = ~(errors <= least * (1 + _TIE) + digits * np.abs(weights))
    if not wrong.any():
        return ""
    return (
        f"{np.count_nonzero(wrong)} values are not the nearest of their grid; if its quantiser "
        "clips, or weighs code length, name it with --quantize"
    )


def _eps(dtype: np.dtype[Any]) -> float:
    """Return the relative distance of two neighbours of a float type."""
    return float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]
