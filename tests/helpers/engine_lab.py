"""A laboratory for tests of engines: the command in its own processes, with a plug-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slashbench.bench.store.store import Store
from slashbench.record import CellRecord, CheckpointRecord
from tests.helpers.command import COMMAND, Process, process_of, started

PLUGIN = Path(__file__).parent / "plugin"
CODECS = "--codecs=pack,entropy"


def environment(**more: str) -> dict[str, str]:
    """With the plug-in, and as little of the machine as can be."""
    path = os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"} | more


#: The command, but what is given a minute is given three seconds.
IMPATIENT = """
import sys
from slashbench.bench import cli
from slashbench.bench.engines import driver
from slashbench.bench.store import leases
leases.TTL_S, leases.BEAT_S, leases.SLIP_S = 3.0, 0.2, 1.0
driver.PATIENCE_S = 3.0
sys.exit(cli.main())
"""


def start(*arguments: str, program: tuple[str, ...] = (), **options: Any) -> Process:
    """The command, in a process group of its own. program: what Python runs in its place."""
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
    options = {"env": environment()} | more | options
    if program or "preexec_fn" in options:
        command = [sys.executable, *(program or COMMAND[1:]), *arguments]
        return subprocess.Popen(command, text=True, **options)
    return process_of(*arguments, **options)


def run(*arguments: str, timeout: float = 250, **options: Any) -> tuple[int, str]:
    """(exit code, output) of the command."""
    process = start("run", *arguments, **options)
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"no end in {timeout} s:\n{output}") from None
    return process.returncode, output


def shared_by_two_drivers(out: Path | str) -> None:
    """Two commands work on one place at once, and do nothing twice."""
    what = [
        "run", "--models=trouble:steps=20:pause=0.05", "--recipes=plain", CODECS, "--seeds=0..3",
        "--jobs=0", f"--out={out}",
    ]  # fmt: skip
    drivers = [start(*what) for _ in range(2)]
    outputs = [driver.communicate(timeout=200)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], outputs
    trainings = [output.count("train trouble") for output in outputs]
    assert sum(trainings) == 4
    assert min(trainings) > 0
    assert len(cells(out)) == 8
    assert len(list(Store(out).all(CheckpointRecord))) == 4
    assert not list(Store(out).files.names("leases"))


def interrupted(*arguments: str, cwd: Path) -> tuple[int, str]:
    """(exit code, what is said after) of a command that gets Ctrl-C when two cells are done."""
    with started(*arguments, cwd=cwd, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("[2/"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        return process.wait(60), rest


def cells(out: Path | str) -> dict[tuple[int, str], CellRecord]:
    """(seed, codec) -> record."""
    return {(cell.seed, cell.codec): cell for cell in Store(out).cells()}


def wait_for(condition: Callable[[], Any], timeout: float = 60) -> Any:
    """What the condition gives as soon as it gives something."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def holders(out: Path, stage_in_progress: int = 1) -> list[int]:
    """Processes that hold leases below a folder, if there are so many."""
    found = set()
    for path in (out / "leases").glob("*"):
        try:
            found.add(json.loads(path.read_text())["holder"]["pid"])
        except (OSError, ValueError):
            continue
    return sorted(found) if len(found) >= stage_in_progress else []


def comparable(folder: Path) -> dict[str, object]:
    """Records without what differs between two undisturbed runs: times and provenance."""
    found: dict[str, object] = {}
    for path in sorted((folder / "records").rglob("*.json")):
        record = json.loads(path.read_text())
        for name in ("provenance", "wall_s", "encode", "decode", "contended"):
            record.pop(name, None)
        record.pop("decode_peak_rss_bytes", None)
        for name in ("wall_s", "cpu_s"):
            (record.get("training") or {}).pop(name, None)
        found[f"{record['stage']}/{path.name}"] = record
    return found
