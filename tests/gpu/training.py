"""Training on a GPU: it learns, and a killed run goes on bit for bit."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from slashbench.bench.models.catalog import MODELS
from slashbench.contracts import Execution, TrainingHook, TrainingPlan
from slashbench.trainers.recipe import recipes
from slashbench.trainers.training import loop
from slashbench.trainers.training.setup import seed_everything, train_model

_STEPS, _KILLED, _KEPT = 40, 30, 25  # steps of a run, of one that is killed, of its snapshot

_RUNS = {
    "digits-mlp": "backslash-q:lam=0.01:step=2^-6:scope=all:begin=0.3",
    "kjv-gpt": "backslash:lam=20:update=gradient:scope=matrices",
}

Case = Callable[[str], dict[str, Any]]


class _Killed(Exception):
    pass


class _OneSnapshot:
    """Keeps the snapshot of one step and remembers no later one."""

    def __init__(self) -> None:
        self.written = 0
        self.data: bytes | None = None

    def read(self) -> bytes | None:
        return self.data

    def write(self, save: Callable[[Path], None]) -> None:
        self.written += 1
        if self.written == _KEPT:
            with tempfile.TemporaryDirectory() as folder:
                save(path := Path(folder) / "snapshot")
                self.data = path.read_bytes()


def cases() -> dict[str, Case]:
    """Each model in each precision, and dropout."""
    found: dict[str, Case] = {
        f"train {name} {precision}": partial(_model, name, precision)
        for name in _RUNS
        for precision in ("fp32", "bf16")
    }
    return found | {"train dropout": _dropout}


def _model(name: str, precision: Any, device: str) -> dict[str, Any]:
    model = MODELS.get(name)(steps=_STEPS)
    (recipe,) = recipes(_RUNS[name], {})
    execution = Execution(device=device, precision=precision)

    def run(**others: Any) -> tuple[Any, loop.TrainingLog]:
        return train_model(model, recipe.regime.item, 0, execution, **others)

    row, log = _resumed(run)
    losses = [entry["loss"] for entry in log.rows]
    assert losses[-1] < losses[0], losses
    return row | {"loss": [losses[0], losses[-1]]}


def _dropout(device: str) -> dict[str, Any]:
    """A run whose steps depend on the random state of the device."""
    plan = TrainingPlan(steps=_STEPS, learning_rate=1e-2, warmup=0)

    def batches() -> Iterator[torch.Tensor]:
        generator = torch.Generator().manual_seed(2)
        while True:
            yield torch.randn(64, 16, generator=generator)

    def loss_of(module: nn.Module, rows: torch.Tensor) -> torch.Tensor:
        return (module(rows) - rows).square().mean()

    def run(**others: Any) -> tuple[Any, loop.TrainingLog]:
        seed_everything(1)
        module = nn.Sequential(nn.Linear(16, 64), nn.Dropout(0.5), nn.Linear(64, 16)).to(device)
        execution = Execution(device=device)
        log = loop.train(module, batches(), loss_of, plan, TrainingHook(), execution, **others)
        return {name: tensor.cpu() for name, tensor in module.state_dict().items()}, log

    return _resumed(run)[0]


def _resumed(run: Callable[..., tuple[Any, loop.TrainingLog]]) -> tuple[dict[str, Any], Any]:
    """Train; train, be killed and go on. (a row, the log of the whole run)."""
    times: list[float] = []
    whole, log = run(progress=lambda step, steps, loss: times.append(time.perf_counter()))
    kept = _OneSnapshot()

    def die(step: int, steps: int, loss: float) -> None:
        if step == _KILLED:
            raise _Killed

    usual, loop.SAVE_EVERY_S = loop.SAVE_EVERY_S, -1.0
    try:
        run(progress=die, snapshots=kept)
    except _Killed:
        pass
    finally:
        loop.SAVE_EVERY_S = usual
    assert kept.data is not None
    seen: list[int] = []
    again, _ = run(progress=lambda step, steps, loss: seen.append(step), snapshots=kept)
    assert seen[0] == _KEPT + 1, f"it went on at step {seen[0]}"
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name]), f"{name} differs after the snapshot"
    step = statistics.median(later - before for before, later in itertools.pairwise(times))
    return {"ms a step": round(step * 1e3, 3)}, log
