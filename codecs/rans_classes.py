"""Below the order-0 entropy: rows or columns of a weight matrix in classes of like scale.

The rows (or columns) of a trained matrix differ in scale, which one table a tensor can't know. They
are sorted into classes, each with a generalised Gaussian of its own, and a chunk is coded class by
class, so that one small table is in use at a time. What a class costs is five bytes or so and the
bits that name each line's class. The idea is that of classified transform coding (W.-H. Chen and
H. Smith, "Adaptive coding of monochrome and color images", IEEE Trans. Commun. 25(11), 1977).

A tensor is taken as a matrix with as many rows as its first dimension has entries.

    tables  u8 width of the symbols (ChunkedCodec)
            u8 form: 0 to 3 as in `rans-ggd`; 4 for classes of rows, 8 for classes of columns; plus
            2 if chunks begin with exceptions
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

from typing import ClassVar

import numpy as np

from slashbench.arrays import Array, Int32s, Int64s, Integers
from slashbench.codecs.base import narrowest
from slashbench.codecs.families import rans_runs
from slashbench.codecs.kernels import lines, rans
from slashbench.codecs.modelling.generalised_gaussian import GeneralisedGaussian
from slashbench.codecs.rans_ggd import (
    EXCEPTIONS,
    MAX_REACH,
    RansGgd,
    check_bits,
    cost,
    cost_of_each,
)
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import CodedArray, Frame
from slashbench.codecs.stream.mapping import unzigzag, zigzag
from slashbench.codecs.stream.table_bytes import Reader, integer_list
from slashbench.errors import CorruptStream

Models = list[GeneralisedGaussian]

ROWS, COLUMNS = 4, 8  # forms

MAX_CLASSES = 16

#: Symbols per chunk, about: more than `frame.CHUNK`, since the eight lane states weigh on few bits.
CHUNK = 1 << 18

_ROUNDS = 2  # of assigning lines to classes and fitting the classes


class RansClasses(RansGgd):
    """Code symbols by rANS under one generalised Gaussian for each class of rows or columns.

    For the smallest streams. The encoder chooses the axis and the number of classes, up to 16, by
    what they cost. A vector, or a matrix whose rows and columns are alike, is coded as `rans-ggd`
    does. Until slashbench 0.1 its name was `max`.

    Parameters
    ----------
    bits : int
        Base-2 logarithm of the sum of the frequencies, 8 to 15. -1: 12 if symbols take a byte, else
        15.

    References
    ----------
    W.-H. Chen and H. Smith, "Adaptive coding of monochrome and color images", IEEE Trans. Commun.
    25(11), 1977, for the idea of classes.
    """

    codec_id: ClassVar[str] = "slashbench.rans-classes"

    def _encode_shaped(self, array: Array) -> CodedArray:
        coded = None
        if array.ndim > 1:
            symbols = narrowest(array.view(f"i{array.itemsize}"))
            coded = self._in_classes(symbols.reshape(array.shape[0], -1))
        return coded or self._encode(array.reshape(-1))

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        form = tables.byte()
        axis = form & ~EXCEPTIONS
        if axis not in (ROWS, COLUMNS):
            self.decode_form(form, tables, parts, first, last, symbols)
            return
        bits = tables.byte()
        check_bits(bits)
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
        rans_runs.decode(parts, first, edges, models, bits, bool(form & EXCEPTIONS), coded)
        _from_coded_order(coded, plans, axis, matrix)

    def _in_classes(self, matrix: Integers) -> CodedArray | None:
        """Code the matrix with its lines in classes, or None if that does not pay."""
        bits = self.bits_for(matrix)
        found = self._choose(matrix, bits)
        if found is None:
            return None
        axis, models, labels = found
        rows, n_columns = matrix.shape
        n_chunks = max(1, min(rows, matrix.size // CHUNK))
        height = -(-rows // n_chunks)
        plans = _plans(matrix.shape, height, 0, axis, labels, len(models))
        coded = _to_coded_order(matrix, plans, axis)
        edges = _edges(plans, n_columns)
        patched, chunks = rans_runs.encode(coded, edges, models, bits)
        head = bytes([matrix.itemsize, axis | EXCEPTIONS * patched, bits])
        return CodedArray(head + _classes_to_bytes(models, labels), chunks, height * n_columns)

    def _choose(self, matrix: Integers, bits: int) -> tuple[int, Models, Int64s] | None:
        """Return the (axis, models, class of each line) of fewest bits; None for one class."""
        flat = matrix.reshape(-1)
        counts, of_table = self.counted(flat, bits)
        whole = self.fitted(counts)
        if whole is None or min(matrix.shape) < 2:
            return None
        beyond = whole.reach + 1
        if sum(matrix.shape) * (beyond + 1) > matrix.size:
            return None  # lines too short to tell their scales apart in so many magnitudes
        by_row = np.zeros((matrix.shape[0], beyond + 1), np.int32)
        by_column = np.zeros((matrix.shape[1], beyond + 1), np.int32)
        lines.tally(matrix, by_row, by_column)
        least = min(cost(counts, whole, bits), of_table)
        best = None
        for axis, tally in ((ROWS, by_row), (COLUMNS, by_column)):
            n_classes, before = 2, np.inf
            while n_classes <= min(MAX_CLASSES, tally.shape[0]):
                models, labels, spent = self._classes(tally, whole, n_classes, bits)
                if spent >= before:
                    break  # more classes would cost more again
                if spent < least:
                    least, best = spent, (axis, models, labels)
                before = spent
                n_classes *= 2
        return best

    def _classes(
        self, tally: Int32s, whole: GeneralisedGaussian, n_classes: int, bits: int
    ) -> tuple[Models, Int64s, float]:
        """Return (models, class of each line, bits of everything) by Lloyd's alternation.

        It begins with classes of equal size in the order of the lines' mean magnitude.
        """
        n_lines, size = tally.shape
        order = np.argsort(tally @ np.arange(size), kind="stable")
        labels = np.empty(n_lines, np.int64)
        labels[order] = np.arange(n_lines) * n_classes // n_lines
        weights = tally.astype(np.float64)
        models: Models = []
        spent = np.zeros(0)
        for turn in range(_ROUNDS + 1):
            sums = [tally[labels == label].sum(0, dtype=np.int64) for label in range(n_classes)]
            models = [self.fitted(counts) or whole for counts in sums]
            per_class = np.stack([cost_of_each(model, bits, size) for model in models], 1)
            spent = weights @ per_class
            if turn < _ROUNDS:
                labels = spent.argmin(1)
        total = float(spent[np.arange(n_lines), labels].sum())
        return models, labels, total + 8 * len(_classes_to_bytes(models, labels))


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


def _to_coded_order(matrix: Integers, plans: list[Plan], axis: int) -> Integers:
    out = np.empty(matrix.size, matrix.dtype)
    for row, end, order, ends in plans:
        block = matrix[row:end]
        target = out[row * matrix.shape[1] : end * matrix.shape[1]]
        if axis == ROWS:
            np.take(block, order, 0, target.reshape(block.shape))
            continue
        first = 0
        for last in ends.tolist():
            span = slice(first * block.shape[0], last * block.shape[0])
            lines.gather(block, order[first:last], target[span])
            first = last
    return out


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


def _classes_to_bytes(models: Models, labels: Int64s) -> bytes:
    numbers = np.array([[m.shape, m.scale, m.reach] for m in models], np.int32).T
    steps = np.diff(numbers.reshape(-1), prepend=np.int32(0))
    width = (len(models) - 1).bit_length()
    flags = labels[:, None] >> np.arange(width - 1, -1, -1) & 1
    packed = np.packbits(flags.astype(np.uint8).reshape(-1)).tobytes()
    return frame.varint(len(models)) + integer_list(zigzag(steps)) + packed


def _read_classes(tables: Reader, n_lines: int) -> tuple[Models, Int64s]:
    """Undo `_classes_to_bytes`. Raises CorruptStream for what it can't have written."""
    n_classes = tables.varint(MAX_CLASSES)
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
