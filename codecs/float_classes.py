"""The smallest lossless floats: exponent and mantissa in one symbol, rows in classes of like scale.

Within an octave the density of trained weights falls, so the mantissa is not noise once the
exponent is known; and rows differ in scale, which one table a tensor can't know. A symbol is the
exponent in its window and the highest mantissa bits (`kernels.float_rows`); what is left of a word
is written as it is, or coded where a sample says that this pays. Symbols are coded by rANS at 14
bits under generalised Gaussians, one a tensor or one a class of rows, or under a table of
frequencies where the weights follow no such law. A tensor that gets no smaller by it, and float64,
is coded as `float-rans` does.

    tables  u8 form: 0 if the tables and chunks of `float-rans` follow; else 1 for a table, 2 for
            models, plus 4 if chunks begin with exceptions
            u8 lowest exponent of the window; 0 for float16
            table: integer list of the 256 frequencies
            models: varint number of classes, 1 to 8; integer list: shapes, then scales, then tops
            of all classes, each number as its zig-zagged difference from the one before; of two or
            more classes, the class of each row in the fewest bits that hold them all, most
            significant bit first, padded to a byte with zeros
            for each plane of the rest: u8 form, 0 raw or 1 coded; coded: varint bytes of the tables
            of `rans` for int8, and those tables
    chunk   exceptions (exceptions.py) if the form says so: by place in the chunk, the exponent
            u32 bytes of the symbols, u32 bytes of each coded plane; symbols; planes

With classes, a chunk is whole rows, coded class by class, and rows of a class in order; a class's
run ends as in `rans-classes`. Without them it is one row. A tensor is taken as a matrix with as
many rows as its first dimension has entries.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import numpy as np

from slashbench.arrays import Array, Bytes, FloatBits, Int64s, UInt64s
from slashbench.codecs.base import TensorCodec
from slashbench.codecs.floats import FloatRans
from slashbench.codecs.kernels import float_cells, float_rows, planes, rans, rans_bytes
from slashbench.codecs.kernels.float_rows import CODED, RAW
from slashbench.codecs.kernels.generalised_gaussian import SHAPE_STEPS, SHAPE_ZERO
from slashbench.codecs.modelling import float_model
from slashbench.codecs.modelling.float_model import FloatModel, Grid
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import exceptions, frame
from slashbench.codecs.stream.frame import CodedArray, Frame, Pieces, cut
from slashbench.codecs.stream.mapping import unzigzag, zigzag
from slashbench.codecs.stream.table_bytes import Reader, integer_list, integer_list_bits
from slashbench.errors import CorruptStream

_OTHERWISE, _TABLE, _MODELS, _EXCEPTIONS = 0, 1, 2, 4  # forms

_WIDE, _HALF = Grid(4, subnormal=False), Grid(3, subnormal=True)
_WINDOW = 16

MAX_CLASSES = 8
CHUNK = 1 << 18  # values, about: the lane states and the sizes weigh half as much as in 2^17

CLASS_OF_VALUES = 48 << 10  # at least so many in a class: its table takes a decoder some time
_CLASS_BITS = 40  # about, that a class takes in the tables
_EXCEPTION_BITS = 28
_FEW = 1 / 64  # exceptions, at most
_ROUNDS = 2  # of assigning rows to classes and fitting the classes
_SAMPLE = 32, 512  # blocks and their length, by which an encoder looks at planes
_NOISE = 7.95  # bits a byte, from which on a plane is left as it is
_TABLE_BITS = 8 * 256
_SMALL = 1 << 16  # values up to which the encoder tries both ways instead of looking at a sample

_CODER = Rans()


@dataclass(frozen=True, slots=True)
class _Split:
    """A tensor's words as symbols and planes; exceptions by place, with their exponents."""

    grid: Grid
    base: int  # the lowest exponent of the window
    symbols: Bytes
    positions: Int64s
    exponents: Bytes


@dataclass(frozen=True, slots=True)
class _Law:
    """What the symbols are coded under, and the bits that they and this take."""

    frequencies: Int64s  # shape (classes, 256)
    labels: Int64s  # class of each row; empty for one class
    tables: bytes
    form: int
    bits: float


class FloatClasses(TensorCodec):
    """Code floats without loss, mantissas under their exponents, rows in classes: the smallest.

    Takes float16 to float64 and bfloat16, every bit pattern. Smaller than `float-rans` by what the
    exponent tells of the mantissa (0.07 bits of a Gaussian) and by what rows tell of their scale.

    References
    ----------
    J. Duda, "Asymmetric numeral systems", arXiv:1311.2540, 2013. ZipNN: arXiv:2411.05239, 2024.
    """

    codec_id: ClassVar[str] = "slashbench.float-classes"
    domains: ClassVar[frozenset[str]] = frozenset({"floats"})

    _otherwise: ClassVar[FloatRans] = FloatRans()

    def _encode_shaped(self, array: Array) -> CodedArray:
        found = self._in_symbols(array)
        if found is not None and array.size > _SMALL:
            return found
        other = self._otherwise._encode(array.reshape(-1))
        other = CodedArray(bytes([_OTHERWISE]) + other.tables, other.chunks, other.chunk)
        return other if found is None or _length(other) <= _length(found) else found

    def _encode(self, flat: Array) -> CodedArray:
        return self._encode_shaped(flat)

    def _in_symbols(self, array: Array) -> CodedArray | None:
        """None for a tensor that another way makes smaller, as far as a sample tells."""
        words = array.reshape(-1).view(f"u{array.itemsize}")
        split = _split(words, array.dtype)
        if split is None:
            return None
        rows = array.shape[0] if array.ndim > 1 else 1
        length = words.size // rows
        law = _law(split, rows, length)
        if law is None or (words.size > _SMALL and not _pays(words, split, law)):
            return None
        if law.labels.size:
            n_chunks = max(1, min(rows, words.size // CHUNK))
            chunk = -(-rows // n_chunks) * length
        else:
            n_chunks = max(1, words.size // CHUNK)
            length = chunk = -(-words.size // n_chunks)
        heads = [_plane(plane) for plane in _rest(words, split.grid, length, chunk)]
        patches = []
        if split.positions.size:
            sparse = _by_chunk(split, words.size, chunk)
            patches = sparse
        streams = _code(split.symbols, law, length, chunk)
        tables = bytes([law.form | _EXCEPTIONS * bool(patches), split.base]) + law.tables
        tables += b"".join(head for head, _ in heads)
        chunks: list[Pieces] = []
        for c, stream in enumerate(streams):
            parts = [planes[c] for _, planes in heads]
            sizes = [len(stream)]
            sizes += [
                sum(map(len, part))
                for (head, _), part in zip(heads, parts, strict=True)
                if head[0] == CODED
            ]
            whole = struct.pack(f"<{len(sizes)}I", *sizes)
            chunks.append((whole, stream, *(piece for part in parts for piece in part)))
        return CodedArray(tables, exceptions.before(patches, chunks), chunk)

    def _decode(self, parts: Frame, first: int, last: int, flat: Array) -> None:
        tables = Reader(parts.tables)
        form = tables.byte()
        if form == _OTHERWISE:
            inner = parts.within(parts.tables[1:], parts.begins, parts.ends)
            self._otherwise._decode(inner, first, last, flat)
            return
        patched = bool(form & _EXCEPTIONS)
        form &= ~_EXCEPTIONS
        grid = _grid(flat.dtype)
        if form not in (_TABLE, _MODELS) or grid is None:
            raise CorruptStream("the form of the floats is unknown")
        base = tables.byte()
        if grid.subnormal and (base or patched):
            raise CorruptStream("a window of exponents for float16")
        rows, length = 1, parts.chunk
        labels = np.zeros(0, np.int64)
        if form == _TABLE:
            frequencies = tables.integers(256).astype(np.int64)[None]
        else:
            if len(parts.shape) > 1:
                rows = parts.shape[0]
            models, labels = _read_models(tables, rows)
            for model in models:
                model.check(grid)
            modelled = float_model.frequencies(models, grid)
            if modelled is None:
                raise CorruptStream("a generalised Gaussian has no frequencies")
            frequencies = modelled
            if labels.size:
                length = parts.count // rows
                if parts.chunk % length:
                    raise CorruptStream("classes of rows in chunks that are not whole rows")
        plan, plane_tables = _read_planes(tables, flat.itemsize, parts.count)
        tables.end()
        chunk = min(parts.chunk, parts.count)
        at = first * parts.chunk // length if labels.size else 0
        entries = _decoding_tables(frequencies)
        order, edges = _orders(labels, at, length, chunk, flat.size, len(frequencies))
        if not float_rows.decode(
            parts.data,
            parts.begins[first:last],
            parts.ends[first:last],
            patched,
            edges,
            entries,
            order,
            min(length, chunk),
            base << 4,
            not grid.subnormal,
            plan,
            plane_tables,
            chunk,
            flat.view(f"u{flat.itemsize}"),
        ):
            raise CorruptStream("the words are cut off or damaged")


def _grid(dtype: np.dtype[Any]) -> Grid | None:
    """None for float64."""
    if dtype.itemsize == 8:
        return None
    return _HALF if dtype == np.float16 else _WIDE


def _length(coded: CodedArray) -> int:
    return len(coded.tables) + sum(len(piece) for chunk in coded.chunks for piece in chunk)


def _split(words: FloatBits, dtype: np.dtype[Any]) -> _Split | None:
    """None for float64, and for more exceptions than one in 64."""
    grid = _grid(dtype)
    if grid is None:
        return None
    symbols = np.empty(words.size, np.uint8)
    nowhere, nothing = np.zeros(0, np.int64), np.zeros(0, np.uint8)
    if grid.subnormal:
        float_rows.split_half(words, symbols, np.empty(words.size, np.uint8))
        return _Split(grid, 0, symbols, nowhere, nothing)
    counts = np.zeros(256, np.int64)
    float_rows.count_exponents(words, 7 if words.itemsize == 2 else 23, counts)
    inside = np.convolve(counts, np.ones(_WINDOW, np.int64), "valid")
    base = int(inside.argmax())
    if words.size - int(inside[base]) > words.size * _FEW:
        return None
    usual = int(counts[base : base + _WINDOW].argmax())
    beyond = float_rows.split(words, base << 4, usual, symbols)
    if not beyond:
        return _Split(grid, base, symbols, nowhere, nothing)
    positions, exponents = np.empty(beyond, np.int64), np.empty(beyond, np.uint8)
    float_rows.locate(words, base << 4, positions, exponents)
    return _Split(grid, base, symbols, positions, exponents)


def _law(split: _Split, rows: int, length: int) -> _Law | None:
    """What codes the symbols in the fewest bits: a table, a model, or models of classes of rows."""
    symbols, grid = split.symbols, split.grid
    counts = np.zeros((1, 256), np.int64)
    float_rows.tally_classes(symbols, symbols.size, np.zeros(1, np.int64), counts)
    frequencies = np.empty(256, np.int64)
    rans.normalise(counts[0], float_cells.BITS, frequencies)
    listed = frequencies.astype(np.uint32)
    spent = _bits(counts, frequencies[None]) + integer_list_bits(listed)
    none = np.zeros(0, np.int64)
    best = _Law(frequencies[None], none, integer_list(listed), _TABLE, spent)
    by_exponent = counts.reshape(grid.exponents, -1).sum(1)
    whole = float_model.fit(by_exponent, grid)
    laws = [_modelled(counts, [whole], none, grid)]
    labels = _classes(split, rows, length, by_exponent, whole)
    if labels.size:
        n_classes = int(labels.max()) + 1
        tally = np.zeros((n_classes, 256), np.int64)
        float_rows.tally_classes(symbols, length, labels, tally)
        by_class = tally.reshape(n_classes, grid.exponents, -1).sum(2)
        fits = [float_model.fit(found, grid, whole) for found in by_class]
        # All tops alike: a run ends with a few symbols of the next class.
        models = [FloatModel(model.shape, model.scale, whole.top) for model in fits]
        laws.append(_modelled(tally, models, labels, grid))
    for law in laws:
        if law is not None and law.bits < best.bits:
            best = law
    return best


def _modelled(counts: Int64s, models: list[FloatModel], labels: Int64s, grid: Grid) -> _Law | None:
    """None if a model has no frequencies."""
    frequencies = float_model.frequencies(models, grid)
    if frequencies is None:
        return None
    tables = _models_to_bytes(models, labels)
    bits = _bits(counts, frequencies) + 8 * len(tables)
    return _Law(frequencies, labels, tables, _MODELS, bits)


def _bits(counts: Int64s, frequencies: Int64s) -> float:
    """Bits that symbols with these counts take under these frequencies, class by class."""
    found = counts > 0
    if (frequencies[found] == 0).any():
        return float("inf")
    return float((counts[found] * (float_cells.BITS - np.log2(frequencies[found]))).sum())


def _classes(
    split: _Split, rows: int, length: int, by_exponent: Int64s, whole: FloatModel
) -> Int64s:
    """Return the class of each row; none if classes don't pay, as far as scales tell.

    Rows are sorted by their mean magnitude, and cut into classes of equal size; a few rounds of
    Lloyd's alternation follow. The number of classes is the one with the least bits foretold: that
    a scale is wrong by d nepers costs about shape / 2 d^2 nats a value.
    """
    none = np.zeros(0, np.int64)
    most = min(MAX_CLASSES, split.symbols.size // CLASS_OF_VALUES, rows // 2)
    if most < 2 or length < 2:
        return none
    exponents = split.grid.exponents
    tally = np.zeros((rows, exponents), np.uint32)
    float_rows.tally_rows(split.symbols, length, split.grid.sub, tally)
    logs = np.log(np.maximum(tally @ np.exp2(np.arange(exponents)), 1e-9) / length)
    order = np.argsort(logs, kind="stable")
    power = 2.0 ** ((whole.shape - SHAPE_ZERO) / SHAPE_STEPS)
    worth = split.symbols.size * power / 2 / np.log(2)
    ordered, n_classes, least = logs[order], 1, worth * float(logs.var())
    for wanted in range(2, most + 1):
        parts = np.array_split(ordered, wanted)
        inside = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) / rows
        spent = worth * inside + rows * (wanted - 1).bit_length() + _CLASS_BITS * wanted
        if spent < least:
            least, n_classes = spent, wanted
    if n_classes == 1:
        return none
    labels = np.empty(rows, np.int64)
    labels[order] = np.arange(rows) * n_classes // rows
    weights = tally.astype(np.float64)
    for _ in range(_ROUNDS):
        sums = np.stack([weights[labels == label].sum(0) for label in range(n_classes)])
        models = [float_model.rescaled(found, whole) if found.any() else whole for found in sums]
        wide = [FloatModel(model.shape, model.scale, exponents - 1) for model in models]
        shares = float_model.frequencies(wide, split.grid)
        if shares is None:
            return none
        of_exponents = shares.reshape(n_classes, exponents, -1).sum(2)
        labels = (weights @ -np.log2(of_exponents).T).argmin(1)
    present = np.flatnonzero(np.bincount(labels, minlength=n_classes))
    numbered = np.zeros(n_classes, np.int64)
    numbered[present] = np.arange(present.size)
    return numbered[labels] if present.size > 1 else none


def _pays(words: FloatBits, split: _Split, law: _Law) -> bool:
    """Whether this makes the tensor smaller than `float-rans` would, as far as a sample tells."""
    here = law.bits + _EXCEPTION_BITS * split.positions.size
    sub, n = split.grid.sub, words.size
    counts = np.zeros((1, 256), np.int64)
    float_rows.tally_classes(split.symbols, n, np.zeros(1, np.int64), counts)
    by_exponent = counts[0].reshape(-1, 1 << sub).sum(1)
    found = by_exponent[by_exponent > 0]
    if words.dtype.itemsize == 2 and split.grid.subnormal:
        found = counts[0][counts[0] > 0]  # its highest plane holds three bits of the mantissa
    there = float((found * np.log2(n / found)).sum()) + _EXCEPTION_BITS * split.positions.size
    for plane in _rest(words, split.grid, n, n):
        here += n * _entropy(plane[0]) * plane[0].size / n
    low = np.empty(n, np.uint8)
    for index in range(words.itemsize - 1):
        planes.take(words, index, low)
        there += n * _entropy(low)
    return here < there


def _entropy(plane: Bytes) -> float:
    """Bits a byte that a plane takes, by a sample."""
    entropy = planes.survey(plane, *_SAMPLE)[3]
    return 8.0 if entropy > _NOISE else entropy


def _rest(words: FloatBits, grid: Grid, length: int, chunk: int) -> list[tuple[Bytes, int]]:
    """The planes of the rest, each with its bytes in a chunk."""
    if grid.subnormal:
        rest = np.empty(words.size, np.uint8)
        float_rows.split_half(words, np.empty(words.size, np.uint8), rest)
        return [(rest, chunk)]
    half = (length + 1) // 2
    whole, left = divmod(words.size, length)
    nibbles = np.empty(whole * half + (left + 1) // 2, np.uint8)
    float_rows.take_nibbles(words, length, nibbles)
    if left:
        float_rows.take_nibbles(words[whole * length :], left, nibbles[whole * half :])
    found = [(nibbles, chunk // length * half)]
    for shift in (8, 0) if words.itemsize == 4 else ():
        plane = np.empty(words.size, np.uint8)
        float_rows.take_byte(words, shift, plane)
        found.append((plane, chunk))
    return found


def _plane(plane: tuple[Bytes, int]) -> tuple[bytes, list[Pieces]]:
    """(what the tables say of a plane of the rest, its pieces in each chunk)."""
    values, chunk = plane
    entropy = planes.survey(values, *_SAMPLE)[3]
    if entropy + _TABLE_BITS / values.size * (entropy > 0) > _NOISE:
        spans = range(0, values.size, chunk)
        return bytes([RAW]), [(values[i : i + chunk].data,) for i in spans]
    tables, chunks = _CODER.encode_chunks(values.view(np.int8), chunk)
    return bytes([CODED]) + frame.varint(len(tables)) + tables, chunks


def _read_planes(tables: Reader, itemsize: int, count: int) -> tuple[Int64s, tuple[UInt64s, ...]]:
    """(plan, table of each plane), as the kernel wants them."""
    plan, found = [], []
    for _ in range(1 if itemsize == 2 else 3):
        form = tables.byte()
        if form == RAW:
            plan.append((RAW, 0, -1, 0))
            found.append(np.empty(0, np.uint64))
            continue
        if form != CODED:
            raise CorruptStream(f"a plane of the unknown form {form}")
        inner = Reader(tables.take(tables.varint(1 << 20)))
        decoder = _CODER.byte_decoder(inner, count)
        fill = int(decoder.values[0]) & 0xFF if decoder.values.size == 1 else -1
        plan.append((CODED, decoder.patched, fill, decoder.bits))
        found.append(decoder.table)
    return np.array(plan, np.int64), tuple(found)


def _by_chunk(split: _Split, count: int, chunk: int) -> list[bytes]:
    """The exceptions of each chunk."""
    edges = np.searchsorted(split.positions, np.arange(0, count + chunk, chunk))
    return [
        exceptions.to_bytes(split.positions[a:b] - c * chunk, split.exponents[a:b])
        for c, (a, b) in enumerate(pairwise(edges))
    ]


def _code(symbols: Bytes, law: _Law, length: int, chunk: int) -> list[Any]:
    """The coded symbols of each chunk."""
    n_classes = law.frequencies.shape[0]
    table = np.empty((n_classes, 256, 4), np.uint64)
    for label, frequencies in enumerate(law.frequencies):
        rans.encoding_table(frequencies, float_cells.BITS, table[label])
    order, edges = _orders(law.labels, 0, length, chunk, symbols.size, n_classes)
    if law.labels.size:
        matrix, height = symbols.reshape(-1, length), chunk // length
        starts = np.arange(order.size) // height * height
        symbols = matrix[order + starts].reshape(-1)
    n_chunks = edges.shape[0]
    places = edges + np.arange(n_chunks)[:, None] * chunk
    out = np.empty(2 * symbols.size + 96 * n_chunks, np.uint8)
    sizes = np.empty(n_chunks, np.int64)
    if not rans.encode(symbols, places, table.reshape(-1, 4), float_cells.BITS, out, sizes):
        raise ValueError("the floats changed while they were encoded")
    return [pieces[0] for pieces in cut(out[out.size - int(sizes.sum()) :], sizes.tolist())]


def _orders(
    labels: Int64s, at: int, length: int, chunk: int, count: int, n_classes: int
) -> tuple[Int64s, Int64s]:
    """(row of its chunk that each row of the coded order is, edges of each chunk's runs).

    For `count` words from row `at` on; edges count from the beginning of their chunk.
    """
    n_chunks = -(-count // chunk)
    sizes = np.minimum(chunk, count - chunk * np.arange(n_chunks))
    if not labels.size:
        return np.zeros(n_chunks, np.int64), sizes[:, None].astype(np.int64)
    order = np.empty(count // length, np.int64)
    edges = np.empty((n_chunks, n_classes), np.int64)
    found = labels[at : at + order.size]
    if not float_rows.arrange(found, chunk // length, length, rans.ROUND, order, edges):
        raise CorruptStream("a row is in an unknown class")
    return order, edges


def _decoding_tables(frequencies: Int64s) -> Bytes:
    """Return the tables of `rans_bytes.decode`."""
    tables = np.empty((frequencies.shape[0], rans_bytes.TABLE), np.uint8)
    for found, table in zip(frequencies, tables, strict=True):
        if not rans_bytes.decoding_table(found, table):
            raise CorruptStream(f"the frequencies don't sum to 2^{float_cells.BITS}")
    return tables


def _models_to_bytes(models: list[FloatModel], labels: Int64s) -> bytes:
    numbers = np.array([[m.shape, m.scale, m.top] for m in models], np.int32).T
    steps = np.diff(numbers.reshape(-1), prepend=np.int32(0))
    width = (len(models) - 1).bit_length()
    flags = labels[:, None] >> np.arange(width - 1, -1, -1) & 1
    packed = np.packbits(flags.astype(np.uint8).reshape(-1)).tobytes()
    return frame.varint(len(models)) + integer_list(zigzag(steps)) + packed


def _read_models(tables: Reader, rows: int) -> tuple[list[FloatModel], Int64s]:
    """Undo `_models_to_bytes`. Raises CorruptStream for what it can't have written."""
    n_classes = tables.varint(MAX_CLASSES)
    if n_classes == 0:
        raise CorruptStream("no classes")
    steps = unzigzag(tables.integers(3 * n_classes)).tolist()
    numbers = list(accumulate(steps))
    if min(numbers) < 0:
        raise CorruptStream("a number of a model is negative")
    models = [FloatModel(*numbers[label::n_classes]) for label in range(n_classes)]
    if n_classes == 1:
        return models, np.zeros(0, np.int64)
    width = (n_classes - 1).bit_length()
    packed = tables.array(np.dtype(np.uint8), (rows * width + 7) // 8)
    used = rows * width % 8
    if used and packed[-1] & (0xFF >> used):
        raise CorruptStream("the bits that pad the tables are not zero")
    labels = np.empty(rows, np.int64)
    float_rows.unpack_labels(packed, width, labels)
    return models, labels
