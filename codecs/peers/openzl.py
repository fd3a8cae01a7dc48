"""OpenZL: floats by its own float graphs, bytes by its entropy coders, and its general compressor.

OpenZL's authors take floats apart into exponents and the rest (`BFloat16Deconstruct` and the like).
Which graph a dtype goes by is a rule, not a search: the shortest on MiniLM's matrices, Huffman and
FSE each. The exponents go to the coder; sign and fraction are stored, but for float16, whose eleven
bits OpenZL keeps in two bytes: those are transposed, and each lane is coded. float64, for which it
has no such graph, and integers go as bytes (byte_layouts.py).

    tables  FLOATS (one byte) for a float graph; else the layout
    payload an OpenZL frame
"""

from __future__ import annotations

from typing import Any, ClassVar

import ml_dtypes
import numpy as np
import openzl.ext as zl

from slashbench.arrays import Array, Bytes
from slashbench.codecs.families.base import OneChunkCodec, narrowest
from slashbench.codecs.families.byte_codec import Buffer, ByteCodec
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream

_FLOATS, _NUMBERS = 0xF0, 0xF1  # in the place of a layout

_DECONSTRUCT = {
    np.dtype(ml_dtypes.bfloat16): zl.nodes.BFloat16Deconstruct,
    np.dtype(np.float16): zl.nodes.Float16Deconstruct,
    np.dtype(np.float32): zl.nodes.Float32Deconstruct,
}


class _OpenZL(ByteCodec):
    """One entropy coder of OpenZL, under its float graph where there is one."""

    graph: ClassVar[Any]
    trusts_input: ClassVar[bool] = True

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        node = _DECONSTRUCT.get(flat.dtype)
        if node is None:
            return super()._encode_whole(flat)
        compressor = zl.Compressor()
        coder = self.graph().parameterize(compressor)
        rest = zl.graphs.Store().parameterize(compressor)
        if flat.dtype == np.float16:
            rest = zl.nodes.TransposeSplit()(compressor, coder)
        graph = node()(compressor, rest, coder)
        return bytes([_FLOATS]), _framed(compressor, graph, _numeric(flat))

    def _decode_into(self, tables: bytes, payload: Bytes, flat: Array) -> None:
        if tables != bytes([_FLOATS]):
            super()._decode_into(tables, payload, flat)
            return
        if flat.dtype not in _DECONSTRUCT:
            raise CorruptStream(f"OpenZL has no float graph for {flat.dtype}")
        flat.view(np.uint8)[:] = _unframed(payload, flat.nbytes)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return an OpenZL frame."""
        compressor = zl.Compressor()
        graph = self.graph().parameterize(compressor)
        return _framed(compressor, graph, zl.Input(zl.Type.Serial, raw))

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes; refuse unopened a frame that declares another number."""
        return _unframed(payload, size).tobytes()


class OpenZLHuffman(_OpenZL):
    """Code floats by OpenZL's float graph and Huffman, bytes by its Huff0. Trusted streams only.

    bfloat16, float16 and float32 go by its deconstruction into exponents and the rest. Decode
    trusted streams only.

    References
    ----------
    OpenZL: arXiv:2510.03203, 2025.
    """

    codec_id: ClassVar[str] = "slashbench.openzl-huffman"
    revision: ClassVar[int] = 2
    graph: ClassVar[Any] = zl.graphs.Huffman


class OpenZLFse(_OpenZL):
    """Code floats by OpenZL's float graph and FSE, bytes by its FSE. Decode trusted streams only.

    FSE is a table-driven ANS. bfloat16, float16 and float32 go by OpenZL's deconstruction into
    exponents and the rest.

    References
    ----------
    OpenZL: arXiv:2510.03203, 2025.
    """

    codec_id: ClassVar[str] = "slashbench.openzl-fse"
    revision: ClassVar[int] = 2
    graph: ClassVar[Any] = zl.graphs.Fse


class OpenZLCompress(OneChunkCodec):
    """Compress by OpenZL's general graph, which looks at numbers. Decode trusted streams only.

    It is handed numbers of their own width: floats by their bits, integers in the narrowest type.
    The tables are two bytes, the second one the width.

    References
    ----------
    OpenZL: arXiv:2510.03203, 2025.
    """

    codec_id: ClassVar[str] = "slashbench.openzl-compress"
    trusts_input: ClassVar[bool] = True
    domains: ClassVar[frozenset[str]] = frozenset({"integers", "floats"})

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        if flat.dtype.kind in "iu":
            flat = narrowest(flat.view(f"i{flat.itemsize}"))
        compressor = zl.Compressor()
        graph = zl.graphs.Compress().parameterize(compressor)
        return bytes([_NUMBERS, flat.itemsize]), _framed(compressor, graph, _numeric(flat))

    def _decode_into(self, tables: bytes, payload: Bytes, flat: Array) -> None:
        if len(tables) != 2 or tables[0] != _NUMBERS:
            raise CorruptStream("the tables of openzl-compress are damaged")
        width = tables[1]
        widths = (1, 2, 4) if frame.domain_of(flat.dtype) == "integers" else (flat.itemsize,)
        if width not in widths or width > flat.itemsize:
            raise CorruptStream(f"numbers of {width} bytes in a tensor of {flat.dtype}")
        raw = _unframed(payload, flat.size * width)
        flat.view(f"i{flat.itemsize}")[:] = raw.view(f"i{width}")


def _numeric(flat: Array) -> Any:
    return zl.Input(zl.Type.Numeric, flat.view(f"u{flat.itemsize}"))


def _framed(compressor: Any, graph: Any, source: Any) -> bytes:
    context = zl.CCtx()
    compressor.select_starting_graph(graph)
    context.ref_compressor(compressor)
    context.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
    found: bytes = context.compress([source])
    return found


def _unframed(payload: Buffer, size: int) -> Bytes:
    """Return the `size` bytes; refuse unopened a frame that declares another number."""
    data = bytes(payload)
    info = zl.FrameInfo(data)
    if info.num_outputs != 1 or info.output_content_size(0) != size:
        raise CorruptStream(f"the OpenZL frame does not declare {size} bytes")
    found = zl.DCtx().decompress(data)[0].content.as_nparray()
    raw: Bytes = np.ascontiguousarray(found).view(np.uint8).reshape(-1)
    if raw.size != size:
        raise CorruptStream(f"the OpenZL frame holds {raw.size} bytes, not {size}")
    return raw
