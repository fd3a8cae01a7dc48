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


def main(folder: Path, regime: str) -> None:
    loop.SAVE_EVERY_S = 0.0
    model = DigitsMLP(steps=120)
    (recipe,) = recipes(regime, {})
    loop.seed_everything(0)
    module = model.build(0)
    plan = recipe.regime.item.plan(model.plan)
    hook = recipe.regime.item.hook(dict(module.named_parameters()), plan)
    keeper = Store(folder).keeper("run")

    def progress(step: int, steps: int, loss: float) -> None:
        print("step", step, flush=True)

    with loop.threads(1):
        loop.train(
            module, model.batches(0), model.loss, plan, hook, progress=progress, keeper=keeper
        )
    digest = hashlib.sha256()
    for tensor in module.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    print("weights", digest.hexdigest(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
