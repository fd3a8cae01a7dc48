"""Decode a compressed checkpoint in a fresh process.

Nothing of the encoder is in reach: the process gets a path, and reports a hash and what the file
is made of.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from slashbench.bench.checkpoint import base_files, convert, describe, reader, update
from slashbench.bench.machine import fresh_process
from slashbench.bench.machine.heap import peak_rss_bytes
from slashbench.errors import CorruptFile, SlashbenchError, StoreUnusable

TIMEOUT_S = 600

fresh_process.preload(__name__)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Report of the fresh process."""

    weights_sha256: str
    peak_rss_bytes: int | None
    sizes: dict[str, int]  # bytes of each tensor in the file; tied ones and copies have none
    parts: dict[str, dict[str, int]]  # what these bytes are: payload, tables, ...


@dataclass(frozen=True, slots=True)
class Failed:
    """Report of a fresh process that failed. environment: nothing is wrong with the file."""

    reason: str
    environment: bool = False


def decode_in_fresh_process(
    path: Path, weights_out: Path | None = None, base: Path | None = None
) -> Decoded:
    """Decode `path`; write the plain safetensors file to `weights_out` if it is given.

    base: a plain file of the weights that the tensors in `path` are differences to, None for whole
    ones. The hash is of the weights that both together make.

    Raises CorruptFile with the decoder's own words when it fails, crashes or hangs, and
    StoreUnusable where `weights_out` can't be written.
    """
    report: Decoded | Failed
    with fresh_process.started(_decode, path, weights_out, base) as receive:
        try:
            report = receive(TIMEOUT_S)
        except (fresh_process.Died, TimeoutError) as error:
            report = Failed(str(error))
    if isinstance(report, Decoded):
        return report
    if report.environment:
        raise StoreUnusable(
            f"can't write decoded weights below {tempfile.gettempdir()}: {report.reason}; make "
            "room there, or set TMPDIR to another folder"
        )
    raise CorruptFile(f"decoding {path.name} in a fresh process failed: {report.reason}")


def _decode(sender: Connection, path: Path, weights_out: Path | None, base: Path | None) -> None:
    """Send a Decoded or a Failed. Runs in the fresh process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    report = _report(path, weights_out, base)
    with contextlib.suppress(BrokenPipeError):  # the parent was killed
        sender.send(report)


def _report(path: Path, weights_out: Path | None, base: Path | None) -> Decoded | Failed:
    try:
        checkpoint = reader.opened(path, trusted=True)
        sha256 = update.weights_sha256(
            update.whole(checkpoint, None if base is None else base_files.opened(base))
        )
        peak = peak_rss_bytes()
        sizes = dict(checkpoint.index.sizes)
        found = Decoded(
            sha256, peak, sizes, {name: describe.parts(checkpoint, name) for name in sizes}
        )
    except (SlashbenchError, OSError, MemoryError) as error:
        return Failed(f"{type(error).__name__}: {error}")
    if weights_out is not None:
        try:
            with weights_out.open("wb") as file:
                convert.decompress(file, checkpoint)
        except OSError as error:
            return Failed(error.strerror or str(error), environment=True)
    return found
