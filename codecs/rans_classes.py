"""Below the order-0 entropy: a table for each class of rows and columns, and for a trellis state.

The rows and columns of a trained matrix differ in scale, which one table a tensor can't know. Each
row has a class and each column has one; where they cross, the symbol's table is that of the sum of
the two, so scales multiply. The tables are one base table, tilted to another width for each sum.
What it costs is a few bytes a sum and a bit or two a line. (A class for a line is the idea of
classified transform coding: W.-H. Chen and H. Smith, IEEE Trans. Commun. 25(11), 1977.)

Integers that the quantiser `trellis` has chosen are recognised, and the state of its trellis picks
the base table.

A tensor is taken as a matrix with as many rows as its first dimension has entries.

    tables  u8 width of the symbols (ChunkedCodec)
            u8 form: 0 to 3 as in `rans-ggd`; 16, plus 2 if chunks begin with exceptions; 4 to 11:
            written by revision 1 (families/sorted_classes.py)
            u8 bits of the frequencies' sum; u8 trellis states, 1, 4 or 8; u8 classes of rows, u8
            classes of columns, 1 to 16
            varint reach, u8 exponent, integer list: bases and tilts (modelling/tilted_tables.py)
            classes of the rows, then of the columns, unless there is one: varint bytes, and the
            list (kernels/adaptive_bits.py)
    chunk   exceptions if the form says so; then states and words (kernels/banded_rans.py)

A chunk is whole rows, a multiple of eight of them but for the last.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.arrays import Array, Int64s, Integers
from slashbench.codecs.base import narrowest
from slashbench.codecs.families import rans_runs, sorted_classes
from slashbench.codecs.kernels import adaptive_bits, banded_rans, rans
from slashbench.codecs.kernels import tilted as kernels
from slashbench.codecs.modelling import line_classes, tilted_tables
from slashbench.codecs.modelling.line_classes import LineClasses
from slashbench.codecs.modelling.tilted_tables import TiltedTables
from slashbench.codecs.rans_ggd import EXCEPTIONS, RansGgd, cost
from slashbench.codecs.stream import exceptions, frame
from slashbench.codecs.stream.frame import CodedArray, Frame, cut
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

CLASSES = 16  # form

MAX_CLASSES = 16

#: Symbols per chunk, about: more than `frame.CHUNK`, since the eight lane states weigh on few bits.
CHUNK = 1 << 18

_MOST = {1: 8, 4: 4, 8: 4}  # classes each way, by states: tables should stay near the core
_TRELLIS_BITS = 11  # so that the tables of eight states do
_LARGEST = 1 << 20  # entries of all tables of a stream
_FEWEST_ROWS = 4 * rans.LANES  # a row is a lane: with few, most lanes would stand still


class RansClasses(RansGgd):
    """Code symbols by rANS under a table for each class of rows and columns, and trellis state.

    For the smallest streams. The encoder chooses the classes by what they cost: up to 8 each way,
    or 16 one way. A vector, or a matrix whose rows and columns are alike, is coded as `rans-ggd`
    does. Of integers that the quantiser `trellis` chose, it finds the trellis, and uses what that
    tells. Until slashbench 0.1 its name was `max`.

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
    revision: ClassVar[int] = 2

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
        kind, patched = form & ~EXCEPTIONS, bool(form & EXCEPTIONS)
        if kind in (sorted_classes.ROWS, sorted_classes.COLUMNS):
            sorted_classes.decode(kind, patched, tables, parts, first, last, symbols)
        elif kind == CLASSES:
            _decode(patched, tables, parts, first, last, symbols)
        else:
            self.decode_form(form, tables, parts, first, last, symbols)

    def _in_classes(self, matrix: Integers) -> CodedArray | None:
        """Code the matrix with its lines in classes, or None if that does not pay."""
        bits = self.bits_for(matrix)
        counts, of_table = self.counted(matrix.reshape(-1), bits)
        plain = self.fitted(counts)
        if plain is None:
            return None
        least, reach = min(cost(counts, plain, bits), of_table), plain.reach
        found: LineClasses | None = None
        states = _states_of(matrix)
        if states > 1:
            bits = min(bits, _TRELLIS_BITS)
            reach = min(max(reach + reach % 2, 2), tilted_tables.max_reach(bits))
            found = line_classes.whole(matrix, reach, states, bits)
        if matrix.shape[0] >= _FEWEST_ROWS and matrix.size > sum(matrix.shape) * (reach + 2):
            one = line_classes.find(matrix, reach, states, bits, _MOST[states])
            found = one if found is None or one.bits < found.bits else found
        if found is None or found.bits >= least:
            return None
        return _coded(matrix, found, bits)


def _states_of(matrix: Integers) -> int:
    """Return the states of the trellis that the rows follow, 1 for none; zeros follow any."""
    for states in (4, 8):
        if kernels.follows(matrix, *tilted_tables.machine(states)):
            return states if np.bitwise_or.reduce(matrix.reshape(-1)) & 1 else 1
    return 1


def _coded(matrix: Integers, model: LineClasses, bits: int) -> CodedArray | None:
    """Code the matrix under the model; None if its numbers, once rounded, make no tables."""
    tables, (n_rows, n_columns) = model.tables, matrix.shape
    flat, reach = matrix.reshape(-1), tables.reach
    n_chunks = max(1, min(n_rows // rans.LANES, matrix.size // CHUNK))
    height = -(-n_rows // (n_chunks * rans.LANES)) * rans.LANES
    n_chunks = -(-n_rows // height)
    sizes_of = np.abs(flat.astype(np.int64)) if flat.itemsize > 1 else np.abs(flat.astype(np.int16))
    beyond = np.flatnonzero(sizes_of > reach)
    patches = []
    if beyond.size:
        patches = exceptions.by_chunk(beyond, flat, height * n_columns)
        flat = flat.copy()
        flat[beyond] = _stand_ins(matrix.reshape(-1)[beyond], tables.states)
    try:
        frequencies = tables.frequencies(bits)
    except CorruptStream:
        return None
    zero, n_places = _places(flat, reach)
    places = flat.view(np.uint8) if flat.itemsize == 1 else (flat + zero).astype(np.uint16)
    following, _ = tilted_tables.machine(tables.states)
    successors = np.zeros((tables.states, n_places), np.uint8)
    table = np.zeros((len(frequencies), tables.states, n_places, 4), np.uint64)
    for of_class, row in zip(table, frequencies, strict=True):
        for state, (values, shares) in enumerate(row):
            at = (values + zero) % n_places
            rows = np.empty((values.size, 4), np.uint64)
            rans.encoding_table(shares, bits, rows)
            of_class[state, at] = rows
            successors[state, at] = following[state, np.abs(values) & 3]
    out = np.empty(2 * flat.size + 96 * n_chunks, np.uint8)
    sizes = np.empty(n_chunks, np.int64)
    entries = table.reshape(-1, 4)
    if not banded_rans.encode(
        places, n_columns, height, model.rows, model.columns, successors, entries, bits, out, sizes
    ):
        raise ValueError("the symbols changed while they were encoded")
    chunks = cut(out[out.size - int(sizes.sum()) :], sizes.tolist())
    row_classes, column_classes = int(model.rows.max()) + 1, int(model.columns.max()) + 1
    head = bytes([matrix.itemsize, CLASSES | EXCEPTIONS * bool(patches), bits, tables.states])
    head += bytes([row_classes, column_classes]) + tables.to_bytes()
    head += _labels_to_bytes(model.rows) + _labels_to_bytes(model.columns)
    return CodedArray(head, exceptions.before(patches, chunks), height * n_columns)


def _decode(
    patched: bool, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
) -> None:
    """Decode chunks under classes of rows and columns; their form has been read."""
    bits, states = tables.byte(), tables.byte()
    rans_runs.check_bits(bits)
    n_rows = parts.shape[0] if len(parts.shape) > 1 else 0
    n_columns = parts.count // n_rows if n_rows else 0
    if not n_columns or parts.chunk % n_columns:
        raise CorruptStream("classes of lines in chunks that are not whole rows")
    row_classes, column_classes = tables.byte(), tables.byte()
    if states not in _MOST or min(row_classes, column_classes) < 1:
        raise CorruptStream(f"{states} trellis states, {row_classes} x {column_classes} classes")
    if max(row_classes, column_classes) > MAX_CLASSES:
        raise CorruptStream(f"{row_classes} x {column_classes} classes, over {MAX_CLASSES}")
    n_classes = row_classes + column_classes - 1
    if n_classes * states << bits > _LARGEST:
        raise CorruptStream(f"{n_classes * states} tables of {bits} bits are too many")
    model = TiltedTables.read(tables, states, n_classes, bits)
    rows = _read_labels(tables, n_rows, row_classes)
    columns = _read_labels(tables, n_columns, column_classes)
    tables.end()
    zero, n_places = _places(symbols, model.reach)
    if 2 * model.reach + 1 > n_places:
        raise CorruptStream(f"values up to {model.reach} in {symbols.dtype}")
    following, _ = tilted_tables.machine(states)
    table = np.empty((n_classes, states, 1 << bits), np.uint64)
    for of_class, row in zip(table, model.frequencies(bits), strict=True):
        for state, (values, shares) in enumerate(row):
            patterns = ((values + zero) % n_places).astype(np.uint64)
            after = following[state, np.abs(values) & 3].astype(np.uint64)
            banded_rans.decoding_table(patterns, after, shares, bits, of_class[state])
    heads, ends = parts.begins[first:last], parts.ends[first:last]
    begins = exceptions.skip(parts.data, heads, ends, symbols.itemsize) if patched else heads
    narrow = symbols.itemsize == 1
    places = symbols.view(np.uint8) if narrow else np.empty(symbols.size, np.uint16)
    height = parts.chunk // n_columns
    rows = rows[first * height : last * height]
    entries = table.reshape(-1)
    if not banded_rans.decode(
        parts.data, begins, ends, n_columns, height, rows, columns, states, entries, bits, places
    ):
        raise CorruptStream("the words are cut off or damaged")
    if not narrow:
        symbols[:] = places.astype(np.int32) - zero
    if patched:
        exceptions.put(parts.data, heads, ends, parts.chunk, symbols)


def _places(symbols: Integers, reach: int) -> tuple[int, int]:
    """(place of zero, number of places): of bytes their bits, else from the reach on."""
    return (0, 256) if symbols.itemsize == 1 else (reach, 2 * reach + 1)


def _stand_ins(values: Integers, states: int) -> Integers:
    """What is coded in the place of exceptions: small, and the trellis goes on alike."""
    if states == 1:
        return np.zeros_like(values)
    sizes = np.abs(values.astype(np.int64)) & 3
    found: Integers = np.array([0, 1, 2, 0], values.dtype)[sizes]
    return found


def _labels_to_bytes(labels: Int64s) -> bytes:
    width = int(labels.max()).bit_length()
    if not width:
        return b""
    out = np.empty(labels.size * width * 2 + 64, np.uint8)
    size = adaptive_bits.encode(labels, width, out)
    return frame.varint(size) + out[:size].tobytes()


def _read_labels(tables: Reader, count: int, classes: int) -> Int64s:
    """Undo `_labels_to_bytes`. Raises CorruptStream for what it can't have written."""
    labels = np.zeros(count, np.int64)
    if classes == 1:
        return labels
    size = tables.varint(1 << 40)
    data = tables.array(np.dtype(np.uint8), size)
    if not adaptive_bits.decode(data, (classes - 1).bit_length(), labels):
        raise CorruptStream("the classes of lines are cut off or damaged")
    if labels.max() >= classes:
        raise CorruptStream("a line is in an unknown class")
    return labels
