"""A process group of one rank: that NCCL works, and that its steps are those of one process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.contracts import Execution
from slashbench.trainers.recipe import recipes
from slashbench.trainers.training.setup import train_model

_STEPS = 20
_REGIME = "backslash:lam=20:update=proximal"

Case = Callable[[str], dict[str, Any]]


def cases() -> dict[str, Case]:
    """A sum, and both ways to share a training."""
    return {
        "nccl sum": _sum,
        "nccl ddp": partial(_training, "ddp"),
        "nccl fsdp2": partial(_training, "fsdp2"),
    }


@contextmanager
def _group(device: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(
            "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
            init_method=f"file://{Path(folder) / 'meeting'}",
            rank=0,
            world_size=1,
        )
        try:
            yield
        finally:
            dist.destroy_process_group()


def _sum(device: str) -> dict[str, Any]:
    with _group(device):
        numbers = torch.arange(1 << 20, dtype=torch.float32, device=device)
        dist.all_reduce(numbers)
        assert torch.equal(numbers.cpu(), torch.arange(1 << 20, dtype=torch.float32))
        return {"backend": dist.get_backend_config()}


def _training(sharding: Any, device: str) -> dict[str, Any]:
    (recipe,) = recipes(_REGIME, {})
    model = DigitsMLP(steps=_STEPS)
    alone, _ = train_model(model, recipe.regime.item, 0, Execution(device=device))
    # Two, for the loop to share the work; it shares it with whom the group has.
    execution = Execution(device=device, processes=2, sharding=sharding)
    with _group(device):
        together, _ = train_model(model, recipe.regime.item, 0, execution)
    worst = max(float((alone[name] - together[name]).abs().max()) for name in alone)
    assert worst < 1e-3, worst
    return {"largest difference of a weight": worst}
