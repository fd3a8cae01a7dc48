"""Plain safetensors files to compressed ones and back, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from slashbench.bench.checkpoint import encoder, sources, writer
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.file_format import BaseFile
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.checkpoint.writer import Piece

#: Called with the number of bytes of plain tensors that are done.
Progress = Callable[[int], None]


def quiet(_done: int) -> None:
    """Show no progress."""


def compress(
    file: BinaryIO,
    source: Source,
    how: Coding,
    progress: Progress = quiet,
    *,
    copies: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write a compressed checkpoint to a file that is empty and can be sought in.

    copies: what `sources.copies` finds, if that is known, or less of it.
    Returns the tensors that could not be quantized and stay as they are, each with the reason.
    Raises Unencodable.
    """
    same = sources.copies(source) if copies is None else copies
    kept: dict[str, str] = {}

    def counted() -> Iterator[Piece]:
        done = 0
        for piece in encoder.pieces(source, how, same, kept):
            yield piece
            done += source.header.tensors[piece.name].nbytes if piece.last else 0
            progress(done)

    base = None
    if how.base is not None:
        base = BaseFile(hash=how.base.identity(), name=how.base.name)
    writer.write(
        file, source.header, how.settings(), counted(), source.tied, same, how.quantized_by, base
    )
    return kept


def decompress(file: BinaryIO, checkpoint: Checkpoint, progress: Progress = quiet) -> None:
    """Write the plain safetensors file that a compressed one stands for, from front to back.

    Raises CorruptFile.
    """
    file.write(checkpoint.header.front)
    done = 0
    for _, raw in checkpoint.stream():
        file.write(raw.data)
        done += raw.size
        progress(done)
