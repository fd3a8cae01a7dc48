"""The command `bench`, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slashbench.bench import cli

Done = subprocess.CompletedProcess[str]


def bench_process(*arguments: str, cwd: Path, timeout: float = 300, **env: str) -> Done:
    """Run the command in a process of its own. Start-up takes seconds: prefer `bench`."""
    return subprocess.run(
        [sys.executable, "-m", "slashbench.bench.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "200"} | env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def bench(captured: pytest.CaptureFixture[str], *arguments: str) -> Done:
    """Run the command in this process, where exit code and output are all that is asked."""
    captured.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    out, err = captured.readouterr()
    return subprocess.CompletedProcess(arguments, int(end.value.code or 0), out, err)
