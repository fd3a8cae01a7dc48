"""The command `bench`, as a user types it: in this process where that is enough, else in its own.

`bench` takes a tenth of a second, `bench_process` takes seconds to start.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from slashbench.bench import cli

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


def bench_process(
    *arguments: object, cwd: Path, given: bytes = b"", timeout: float = 300, **env: str
) -> Done:
    """Run the command in a process of its own."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | _WIDE | env,
        input=given,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    said = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return Done(done.returncode, *said, done.stdout)


@contextlib.contextmanager
def started(
    *arguments: object, cwd: Path | None = None, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a process group of its own, of which nothing is left at the end."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=cwd, text=True, start_new_session=True, **options
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
