"""Trains digits-mlp with a snapshot at every step, and prints the hash of the weights.

Run as `python killed_run.py FOLDER REGIME`; killed at any moment, the same command goes on.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.bench.store.store import Store
from slashbench.trainers.recipe import recipes
from slashbench.trainers.training import loop
from slashbench.trainers.training.setup import train_model


def main(folder: Path, regime: str) -> None:
    loop.SAVE_EVERY_S = 0.0
    model = DigitsMLP(steps=120)
    (recipe,) = recipes(regime, {})
    snapshots = Store(folder).snapshot_slot("run")

    def progress(step: int, steps: int, loss: float) -> None:
        print("step", step, flush=True)

    with loop.threads(1):
        weights, _ = train_model(
            model, recipe.regime.item, 0, progress=progress, snapshots=snapshots
        )
    digest = hashlib.sha256()
    for tensor in weights.values():
        digest.update(tensor.numpy().tobytes())
    print("weights", digest.hexdigest(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
