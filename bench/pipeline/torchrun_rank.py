"""One of the processes that train a checkpoint together. torchrun starts it:

torchrun --nproc-per-node 2 -m slashbench.bench.pipeline.torchrun_rank FOLDER

FOLDER holds the order of `pipeline.torchrun`; weights, log and errors are written to it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import msgspec
import psutil
import torch
import torch.distributed as dist

from slashbench.bench.checkpoint import state_dict
from slashbench.bench.pipeline.torchrun import (
    BEFORE,
    ERROR,
    LOG,
    ORDER,
    TEACHER,
    WEIGHTS,
    RankOrder,
)
from slashbench.bench.store.store import Store
from slashbench.trainers.training import distributed, loop, setup

_WATCH_S = 1.0


def main(folder: Path) -> None:
    """Train with the other processes; the first of them writes the whole weights."""
    order = msgspec.json.decode((folder / ORDER).read_bytes(), type=RankOrder)
    _end_with(order.parent)
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    try:
        with loop.threads(order.threads):
            _train(order, folder, rank, local)
    except Exception as error:
        what = {"type": type(error).__name__, "text": str(error)}
        (folder / f"{ERROR}{rank}").write_text(json.dumps(what), encoding="utf-8")
        raise


def _train(order: RankOrder, folder: Path, rank: int, local: int) -> None:
    cell = order.cell.cell()
    if cell.execution.device == "cuda":
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cell.execution.device == "cuda" else "gloo")
    model, regime = cell.model.item, cell.recipe.regime_at(order.depth)
    before = None
    if order.steps_before >= 0:
        weights, teacher = (state_dict.load(folder / name) for name in (BEFORE, TEACHER))
        before = setup.Trained(weights, teacher, order.steps_before)
    snapshots = Store(order.store).snapshot_slot(f"{order.key}-{rank}of{distributed.count()}")

    def progress(step: int, steps: int, loss: float) -> None:
        if rank == 0:
            print(json.dumps([step, steps, loss]), flush=True)

    state, log = setup.train_model(
        model, regime, cell.seed, cell.execution, progress, snapshots, before
    )
    if rank == 0:
        (folder / WEIGHTS).write_bytes(state_dict.to_bytes(state))
        (folder / LOG).write_bytes(msgspec.json.encode(log))
    dist.barrier()  # one that leaves early makes the others abort
    snapshots.clear()
    dist.destroy_process_group()


def _end_with(parent: int) -> None:
    """End this process when the one that asked for the training is gone."""

    def watch() -> None:
        while psutil.pid_exists(parent):
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
