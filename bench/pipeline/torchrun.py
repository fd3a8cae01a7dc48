"""Train one checkpoint with several processes of this machine, started and watched by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from slashbench.bench.checkpoint import state_dict
from slashbench.bench.machine.fresh_process import SAFE_PATH
from slashbench.bench.plan.matrix import Cell, CellText
from slashbench.contracts import Weights
from slashbench.errors import TrainingDiverged, UsageError
from slashbench.parallel import cores
from slashbench.trainers.training.loop import TrainingLog
from slashbench.trainers.training.setup import Trained

ORDER, WEIGHTS, LOG, ERROR = "order.json", "weights.safetensors", "log.json", "error-"
BEFORE, TEACHER = "before.safetensors", "teacher.safetensors"

_OURS = {error.__name__: error for error in (TrainingDiverged, UsageError)}


class RankOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions for each process. key: of the checkpoint; parent: the process that asks.

    depth: of the link that trains. steps_before: those of the links before; -1 if there are none,
    and else BEFORE has the weights that they made, TEACHER those that teach.
    """

    cell: CellText
    depth: int
    steps_before: int
    key: str
    store: str
    threads: int
    parent: int


def train(
    cell: Cell,
    depth: int,
    key: str,
    store: str,
    progress: Callable[[int, int, float], None],
    before: Trained | None = None,
) -> tuple[Weights, TrainingLog]:
    """Train, and return the weights and the log. Raises the error of the first process to fail."""
    count = cell.execution.processes
    threads = cell.model.item.threads or max(len(cores()) // count, 1)
    order = RankOrder(
        cell=cell.spelled,
        depth=depth,
        steps_before=before.steps if before is not None else -1,
        key=key,
        store=store,
        threads=threads,
        parent=os.getpid(),
    )
    with tempfile.TemporaryDirectory(prefix="slashbench-") as name:
        folder = Path(name)
        (folder / ORDER).write_bytes(msgspec.json.encode(order))
        if before is not None:
            (folder / BEFORE).write_bytes(state_dict.to_bytes(before.weights))
            (folder / TEACHER).write_bytes(state_dict.to_bytes(before.teacher))
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [
            *torchrun,
            "--nproc-per-node",
            str(count),
            "-m",
            "slashbench.bench.pipeline.torchrun_rank",
            name,
        ]
        with (folder / "errors").open("w+b") as errors:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | SAFE_PATH | {"OMP_NUM_THREADS": str(threads)},
                start_new_session=True,  # Ctrl-C is for us
            )
            try:
                _follow(process, progress)
            finally:
                process.terminate()
                process.wait()
            if process.returncode:
                errors.seek(0)
                raise _failure(folder, errors.read().decode(errors="replace"))
        log = msgspec.json.decode((folder / LOG).read_bytes(), type=TrainingLog)
        return state_dict.load(folder / WEIGHTS), log


def _follow(process: subprocess.Popen[bytes], progress: Callable[[int, int, float], None]) -> None:
    """Pass on the progress that the first process reports, until the end."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(b"["):
            progress(*json.loads(line))
    process.wait()


def _failure(folder: Path, errors: str) -> Exception:
    for path in sorted(folder.glob(f"{ERROR}*")):
        found = json.loads(path.read_text(encoding="utf-8"))
        return _OURS.get(found["type"], RuntimeError)(found["text"])
    return RuntimeError(f"a training process died: {errors[-1000:]}")
