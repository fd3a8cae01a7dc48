"""rANS without a table: two numbers and the reach describe a tensor's symbols.

    tables  u8 width of the symbols (ChunkedCodec)
            u8 form: 0 if the tables and chunks of `rans` follow; else 1, plus 2 if chunks begin
            with exceptions (exceptions.py)
            u8 bits of the frequencies' sum, u8 shape, u16 scale (generalised_gaussian.py), varint
            reach: 7 bytes with the form and the width, or 8
    chunk   exceptions if the form says so; then as in `rans`

The alphabet is -reach to reach, and its frequencies are those of the model.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.arrays import Float64s, Int8s, Int64s, Integers
from slashbench.codecs.families import rans_runs
from slashbench.codecs.kernels import rans
from slashbench.codecs.modelling import generalised_gaussian as ggd
from slashbench.codecs.modelling.alphabet import Histogram, histogram
from slashbench.codecs.modelling.generalised_gaussian import GeneralisedGaussian
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame, prefix_streams
from slashbench.codecs.stream.frame import Frame, Pieces
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

TABLE, MODEL, EXCEPTIONS = 0, 1, 2  # forms

EXCEPTION_BITS = 28  # about: a gap, a value, and the zero that is coded in its place

# A table is sent if the model makes the tensor this much longer: then it is another distribution.
_WORTH_A_TABLE = 1 / 64
_TABLE_ENTRY = 8  # bits, about; one value alone needs no table


class RansGgd(Rans):
    """Code symbols by interleaved rANS under a generalised Gaussian fitted to each tensor.

    The density is that of BackSlash, and the probability of a symbol is its integral over the
    symbol's cell. A tensor that it does not describe is coded as `rans` does.

    Parameters
    ----------
    bits : int
        Base-2 logarithm of the sum of the frequencies, 8 to 15. -1: 12 if symbols take a byte, else
        15.

    References
    ----------
    BackSlash, section 3: arXiv:2504.16968, 2025.
    """

    codec_id: ClassVar[str] = "slashbench.rans-ggd"

    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (tables, pieces of each chunk) of symbols, shape (n,)."""
        bits = self.bits_for(symbols)
        counts, most = self.counted(symbols, bits)
        model = self.fitted(counts)
        if model is None or cost(counts, model, bits) > most:
            tables, chunks = super().encode_chunks(symbols, chunk)
            return bytes([TABLE]) + tables, chunks
        edges = rans.whole_chunks(symbols.size, chunk)
        patched, chunks = rans_runs.encode(symbols, edges, [model], bits)
        head = bytes([MODEL | EXCEPTIONS * patched, bits, model.shape])
        tables = head + model.scale.to_bytes(2, "little") + frame.varint(model.reach)
        return tables, chunks

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        self.decode_form(tables.byte(), tables, parts, first, last, symbols)

    def decode_form(
        self, form: int, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """`decode_chunks` after the form has been read."""
        if form == TABLE:
            super().decode_chunks(tables, parts, first, last, symbols)
            return
        if form & ~EXCEPTIONS != MODEL:
            raise CorruptStream("the form of the model is unknown")
        bits, shape = tables.byte(), tables.byte()
        rans_runs.check_bits(bits)
        scale = tables.byte() | tables.byte() << 8
        model = GeneralisedGaussian(shape, scale, tables.varint(ggd.MAX_REACH))
        tables.end()
        edges = rans.whole_chunks(symbols.size, parts.chunk)
        rans_runs.decode(parts, first, edges, [model], bits, bool(form & EXCEPTIONS), symbols)

    def bits_for(self, symbols: Integers) -> int:
        """Return the base-2 logarithm of the sum of the frequencies."""
        if self.bits > 0:
            return self.bits
        return 12 if symbols.itemsize == 1 else rans.MAX_BITS

    def counted(self, symbols: Integers, bits: int) -> tuple[Int64s, float]:
        """Return (how often 0, 1, ... occur as a magnitude, about the bits of `rans`).

        The last place counts all magnitudes beyond any table.
        """
        narrow = symbols.itemsize == 1
        found = _byte_histogram(symbols) if narrow else histogram(symbols.astype(np.int32))
        present = found.counts[found.counts > 0]
        entropy = float(symbols.size * np.log2(symbols.size) - present @ np.log2(present))
        limit = min(127 if narrow else ggd.MAX_REACH, ggd.max_reach(bits))
        places = np.minimum(np.abs(found.values.astype(np.int64)), limit + 1)
        folded = np.bincount(places, found.counts, limit + 2).astype(np.int64)
        table = _TABLE_ENTRY * present.size if present.size > 1 else 0
        return folded, entropy * (1 + _WORTH_A_TABLE) + table

    def fitted(self, counts: Int64s) -> GeneralisedGaussian | None:
        """Fit the model of magnitudes; those rarer than `rarest` are beyond its reach."""
        kept = np.flatnonzero(counts[:-1] > 2 * counts.sum() * self.rarest)
        return ggd.fit(counts[: kept[-1] + 1]) if kept.size else None


def _byte_histogram(symbols: Int8s) -> Histogram:
    totals = prefix_streams.tally(symbols, symbols.size).reshape(-1, 256).sum(0, dtype=np.int64)
    return Histogram(np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int32), totals)


def cost_of_each(model: GeneralisedGaussian, bits: int, size: int) -> Float64s:
    """Return the bits of a symbol by magnitude, shape (size,); the last place is for all beyond."""
    out = np.full(size, float(EXCEPTION_BITS))
    out[: model.reach + 1] = bits - np.log2(model.frequencies(bits)[model.reach :])
    return out


def cost(counts: Int64s, model: GeneralisedGaussian, bits: int) -> float:
    """Return the bits of symbols whose magnitudes have these counts."""
    return float(counts @ cost_of_each(model, bits, counts.size))
