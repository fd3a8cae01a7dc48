"""Streams of the first revision of `rans-classes`: classes of rows or of columns, one by one.

They are decoded for ever, and no longer written. A chunk is coded class by class, so that one table
is in use at a time.

    tables  u8 width of the symbols (ChunkedCodec)
            u8 form: 4 for classes of rows, 8 for classes of columns; plus 2 if chunks begin with
            exceptions
            u8 bits of the frequencies' sum, varint number of classes, 2 to 16
            integer list: shapes, then scales, then reaches of all classes, each number as its
            zig-zagged difference from the one before
            class of each line in the fewest bits that hold them all, most significant bit first,
            padded to a byte with zeros
    chunk   exceptions if the form says so, by their places in the coded order; then as in `rans`

A chunk is whole rows. In the coded order classes follow one another; rows of a class are in order,
and of its columns all symbols in the first row come before those in the second. A class's run ends
where its last symbol does, or up to 15 symbols later, after a multiple of 16.
"""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Int64s, Integers
from slashbench.codecs.families import rans_runs
from slashbench.codecs.kernels import lines, rans
from slashbench.codecs.modelling.generalised_gaussian import MAX_REACH, GeneralisedGaussian
from slashbench.codecs.stream.frame import Frame
from slashbench.codecs.stream.mapping import unzigzag
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

Models = list[GeneralisedGaussian]

ROWS, COLUMNS = 4, 8  # forms

_MAX_CLASSES = 16


def decode(
    axis: int,
    patched: bool,
    tables: Reader,
    parts: Frame,
    first: int,
    last: int,
    symbols: Integers,
) -> None:
    """Fill `symbols` with those of chunks `first` to `last` - 1, whose form has been read."""
    bits = tables.byte()
    rans_runs.check_bits(bits)
    rows = parts.shape[0] if len(parts.shape) > 1 else 0
    n_columns = parts.count // rows if rows else 0
    if not n_columns or parts.chunk % n_columns:
        raise CorruptStream("classes of lines in chunks that are not whole rows")
    models, labels = _read_classes(tables, rows if axis == ROWS else n_columns)
    tables.end()
    height, start = parts.chunk // n_columns, first * (parts.chunk // n_columns)
    matrix = symbols.reshape(-1, n_columns)
    plans = _plans(matrix.shape, height, start, axis, labels, len(models))
    coded = np.empty_like(symbols)
    edges = _edges(plans, n_columns)
    rans_runs.decode(parts, first, edges, models, bits, patched, coded)
    _from_coded_order(coded, plans, axis, matrix)


# A plan says for one chunk which rows it has, which class each symbol of the coded order is in, and
# how lines get there: (first row, end row, lines in the coded order, end of each class in it).
Plan = tuple[int, int, Int64s, Int64s]


def _plans(
    shape: tuple[int, ...], height: int, start: int, axis: int, labels: Int64s, n_classes: int
) -> list[Plan]:
    """Return a plan for each chunk of `height` rows; the first row has number `start`."""
    plans: list[Plan] = []
    shared = _sorted_lines(labels, n_classes) if axis == COLUMNS else None
    for row in range(0, shape[0], height):
        end = min(row + height, shape[0])
        order, ends = shared or _sorted_lines(labels[start + row : start + end], n_classes)
        plans.append((row, end, order, ends))
    return plans


def _sorted_lines(labels: Int64s, n_classes: int) -> tuple[Int64s, Int64s]:
    """(lines class by class, where each class ends among them)."""
    order: Int64s = np.argsort(labels, kind="stable")
    return order, np.cumsum(np.bincount(labels, minlength=n_classes))


def _edges(plans: list[Plan], n_columns: int) -> Int64s:
    """Where each class ends in the coded order, rounded up to whole rounds of its chunk."""
    edges = np.empty((len(plans), plans[0][3].size), np.int64)
    for c, (row, end, order, ends) in enumerate(plans):
        size = (end - row) * n_columns
        rounded = -(-ends * (size // order.size) // rans.ROUND) * rans.ROUND
        edges[c] = np.minimum(rounded, size) + row * n_columns
    return edges


def _from_coded_order(coded: Integers, plans: list[Plan], axis: int, matrix: Integers) -> None:
    for row, end, order, ends in plans:
        block = matrix[row:end]
        source = coded[row * matrix.shape[1] : end * matrix.shape[1]]
        if axis == ROWS:
            block[order] = source.reshape(block.shape)
            continue
        first = 0
        for last in ends.tolist():
            span = slice(first * block.shape[0], last * block.shape[0])
            lines.scatter(source[span], order[first:last], block)
            first = last


def _read_classes(tables: Reader, n_lines: int) -> tuple[Models, Int64s]:
    """(model of each class, class of each line). Raises CorruptStream."""
    n_classes = tables.varint(_MAX_CLASSES)
    if n_classes < 2:
        raise CorruptStream(f"{n_classes} classes")
    steps = unzigzag(tables.integers(3 * n_classes)).astype(np.int64)
    shapes, scales, reaches = np.cumsum(steps).reshape(3, -1).tolist()
    if max(reaches) > MAX_REACH:
        raise CorruptStream(f"a reach of {max(reaches)}, over {MAX_REACH}")
    models = list(map(GeneralisedGaussian, shapes, scales, reaches))
    width = (n_classes - 1).bit_length()
    packed = tables.array(np.dtype(np.uint8), (n_lines * width + 7) // 8)
    flags = np.unpackbits(packed)
    if flags[n_lines * width :].any():
        raise CorruptStream("the bits that pad the tables are not zero")
    weights = 1 << np.arange(width - 1, -1, -1)
    labels: Int64s = flags[: n_lines * width].reshape(n_lines, width) @ weights
    if labels.max() >= n_classes:
        raise CorruptStream("a line is in an unknown class")
    return models, labels
