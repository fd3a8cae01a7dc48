"""OpenZL's entropy coders."""

from __future__ import annotations

from typing import Any, ClassVar

import openzl.ext as zl

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec
from slashbench.errors import CorruptStream


class _OpenZL(ByteCodec):
    """One graph of OpenZL over bytes."""

    graph: ClassVar[Any]
    trusts_input: ClassVar[bool] = True

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return an OpenZL frame."""
        compressor, context = zl.Compressor(), zl.CCtx()
        compressor.select_starting_graph(self.graph().parameterize(compressor))
        context.ref_compressor(compressor)
        context.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
        frame: bytes = context.compress([zl.Input(zl.Type.Serial, raw)])
        return frame

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes; refuse unopened a frame that declares another number."""
        payload = bytes(payload)
        info = zl.FrameInfo(payload)
        if info.num_outputs != 1 or info.output_content_size(0) != size:
            raise CorruptStream(f"the OpenZL frame does not declare {size} bytes")
        found: bytes = zl.DCtx().decompress(payload)[0].content.as_nparray().tobytes()
        return found


class OpenZLHuffman(_OpenZL):
    """Code bytes by OpenZL's Huffman coder (Huff0; openzl.org). Decode trusted streams only."""

    codec_id: ClassVar[str] = "slashbench.openzl-huffman"
    graph: ClassVar[Any] = zl.graphs.Huffman


class OpenZLFse(_OpenZL):
    """Code bytes by OpenZL's FSE, a table-driven ANS (openzl.org). Decode trusted streams only."""

    codec_id: ClassVar[str] = "slashbench.openzl-fse"
    graph: ClassVar[Any] = zl.graphs.Fse
