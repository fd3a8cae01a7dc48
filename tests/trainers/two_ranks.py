"""Trains digits-mlp with one process of several, with a snapshot at every step.

Run by torchrun as `two_ranks.py FOLDER SHARDING`; killed at any moment, the same command goes on.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist

from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.bench.store.store import Store
from slashbench.contracts import Execution
from slashbench.trainers.recipe import recipes
from slashbench.trainers.training import loop
from slashbench.trainers.training.setup import train_model


def main(folder: Path, sharding: Any) -> None:
    loop.SAVE_EVERY_S = 0.0
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    model = DigitsMLP(steps=60)
    (recipe,) = recipes("backslash:lam=20:update=proximal", {})
    execution = Execution(processes=2, sharding=sharding)
    snapshots = Store(folder).snapshot_slot(f"run-{rank}")

    def progress(step: int, steps: int, loss: float) -> None:
        if rank == 0:
            print("step", step, "", flush=True)

    with loop.threads(1):
        weights, _ = train_model(model, recipe.regime.item, 0, execution, progress, snapshots)
    digest = hashlib.sha256()
    for tensor in weights.values():
        digest.update(tensor.numpy().tobytes())
    if rank == 0:
        print("weights", digest.hexdigest(), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
