"""The command `bench`, as a user types it: in this process where that is enough, else in its own.

`bench` takes a tenth of a second; what `bench_process` runs begins as soon, but its imports and its
compiled kernels are not there for the next one.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from slashbench.bench import cli
from tests.helpers import warm_process
from tests.helpers.warm_process import WarmProcess

Process = subprocess.Popen[Any] | WarmProcess

COMMAND = (sys.executable, "-m", "slashbench.bench.cli")

_WIDE = {"COLUMNS": "200"}


@dataclass(frozen=True)
class Done:
    """How a command ended. `raw`: what it wrote to standard output."""

    returncode: int
    stdout: str
    stderr: str
    raw: bytes


def bench(
    *arguments: object, cwd: Path, given: bytes = b"", encoding: str = "utf-8", **env: str
) -> Done:
    """Run the command in this process. `encoding`: of its terminal; `given`: its standard input."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    code = 0
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, _WIDE | env),
        mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(given))),
        mock.patch("sys.path", list(sys.path)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    out.flush()
    err.flush()
    raw, said = (stream.buffer.getvalue() for stream in (out, err))  # type: ignore[attr-defined]
    return Done(code, raw.decode(encoding, "replace"), said.decode(encoding, "replace"), raw)


def outcome(*arguments: object) -> tuple[int, str]:
    """Run the command in this process and folder: its exit code, and all that it said."""
    done = bench(*arguments, cwd=Path.cwd())
    return done.returncode, done.stdout + done.stderr


def bench_process(
    *arguments: object,
    cwd: Path,
    given: bytes = b"",
    timeout: float = 300,
    cold: bool = False,
    **env: str,
) -> Done:
    """Run the command in a process of its own. cold: of a Python that is started for it."""
    with tempfile.TemporaryFile() as given_file, tempfile.TemporaryFile() as out, \
         tempfile.TemporaryFile() as err:  # fmt: skip
        given_file.write(given)
        given_file.seek(0)
        process = process_of(
            *map(str, arguments), cold=cold, cwd=cwd, env=os.environ | _WIDE | env,
            stdin=given_file.fileno(), stdout=out.fileno(), stderr=err.fileno(),
        )  # fmt: skip
        code = process.wait(timeout)
        raw, said = ((file.seek(0), file.read())[1] for file in (out, err))
    return Done(code, raw.decode(errors="replace"), said.decode(errors="replace"), raw)


@contextlib.contextmanager
def started(*arguments: object, cwd: Path | None = None, **options: Any) -> Iterator[Process]:
    """Start the command in a process group of its own, of which nothing is left at the end."""
    process = process_of(*map(str, arguments), cwd=cwd, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def process_of(*arguments: str, cold: bool = False, **options: Any) -> Process:
    """Start the command; it begins at once where it can be forked from a process that is ready."""
    if warm_process.POSSIBLE and not cold:
        return WarmProcess(arguments, **options)
    return subprocess.Popen([*COMMAND, *arguments], text=True, **options)
