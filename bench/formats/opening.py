"""Open weights in whatever format they are, by the bytes that a file begins with."""

from __future__ import annotations

from pathlib import Path

from slashbench.bench.checkpoint import sources
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.formats import gguf, onnx, pytorch_files
from slashbench.errors import UsageError

#: What stands in such files is read; others of `folders.OTHER_WEIGHTS` are not.
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx")


def source_of(path: Path) -> Source:
    """Open a file of weights. Nothing that it says is run.

    Raises
    ------
    CorruptFile
        For a damaged file.
    UsageError
        For one that can't be read, and for a compressed one.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    if begin.startswith((pytorch_files.ZIP, pytorch_files.STREAM)):
        return pytorch_files.open_source(path)
    if begin.startswith(gguf.MAGIC):
        return gguf.open_source(path)
    if path.suffix == ".onnx":
        return onnx.open_source(path)
    if path.suffix in SUFFIXES[1:]:
        raise UsageError(
            f"{path} is neither what torch.save writes nor another format that is read here: "
            f"{', '.join(SUFFIXES)}"
        )
    return sources.of_file(path)
