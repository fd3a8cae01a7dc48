"""Trains a small network by every regime in two processes, and says which weights differ there.

Run as torchrun does it: `torchrun --nproc-per-node 2 alike_processes.py`. Batches are of seven
rows and there is dropout, so that the processes draw different numbers of random ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from slashbench.contracts import Execution, Metrics, Model, Prediction, TrainingPlan
from slashbench.trainers.catalog import REGIMES
from slashbench.trainers.training.setup import train_model


class Dropping(Model):
    """A pretrained body, dropout and a new head."""

    def inputs(self) -> dict[str, str]:
        return {}

    @property
    def plan(self) -> TrainingPlan:
        new = frozenset({"2.weight", "2.bias"})
        return TrainingPlan(steps=6, learning_rate=1e-2, warmup=1, new=new)

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.2), nn.Linear(16, 3))

    def batches(self, seed: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield torch.randn(7, 6, generator=generator), torch.arange(7) % 3

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        rows, targets = batch
        return Prediction(module(rows), targets)

    def evaluate(self, module: nn.Module, split: Any, reference: Any = None) -> Metrics:
        raise NotImplementedError


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for name in REGIMES.names():
        weights, _ = train_model(Dropping(), REGIMES.get(name)(), 0, Execution(processes=2))
        unlike = []
        for key, own in weights.items():
            firsts = own.clone()
            dist.broadcast(firsts, 0)
            unlike += [] if torch.equal(own, firsts) else [key]
        print(name, *unlike, flush=True)
    dist.barrier()  # a rank that leaves early makes the other abort
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
