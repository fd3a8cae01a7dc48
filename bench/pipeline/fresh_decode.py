"""Decode a compressed checkpoint in a fresh process.

Nothing of the encoder is in reach: the process is forked from a server that never encoded anything
(multiprocessing's forkserver; spawned where there is none), gets a path, and reports a hash.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import safetensors.numpy

from slashbench.bench.machine.timing import peak_rss_bytes
from slashbench.bench.pipeline import artifact
from slashbench.errors import CorruptFile, SlashbenchError

TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the fresh process reported."""

    weights_sha256: str
    peak_rss_bytes: int | None


def decode_in_fresh_process(path: Path, weights_out: Path | None = None) -> Decoded:
    """Decode `path`; write the weights to `weights_out` as plain safetensors if it is given.

    Raises CorruptFile with the decoder's own words when it fails, crashes or hangs.
    """
    context = fresh_processes()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_decode, args=(sender, path, weights_out), daemon=True)
    process.start()
    sender.close()
    try:
        report = receiver.recv() if receiver.poll(TIMEOUT_S) else f"no answer in {TIMEOUT_S} s"
    except EOFError:
        process.join()
        report = f"the process died with exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
    if not isinstance(report, Decoded):
        raise CorruptFile(f"decoding {path.name} in a fresh process failed: {report}")
    return report


@functools.cache
def fresh_processes() -> Any:
    """Where fresh processes come from: a server that has loaded the codecs and seen no file."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "slashbench.bench.machine.preload_codecs"])
    return context


def _decode(sender: Connection, path: Path, weights_out: Path | None) -> None:
    """Runs in the fresh process: sends a Decoded, or the reason why there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    try:
        weights = artifact.read(path)
        if weights_out is not None:
            safetensors.numpy.save_file(weights, weights_out)
        report: Decoded | str = Decoded(artifact.weights_sha256(weights), peak_rss_bytes())
    except (SlashbenchError, OSError, MemoryError) as error:
        report = f"{type(error).__name__}: {error}"
    with contextlib.suppress(BrokenPipeError):  # the parent was killed
        sender.send(report)
