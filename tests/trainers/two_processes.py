"""Trains a small network alone, under DDP and under FSDP2; keeps weights and the last figures.

Run as torchrun does it: `torchrun --nproc-per-node 2 two_processes.py FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from slashbench.contracts import TrainingPlan
from slashbench.trainers.regimes.backslash import BackSlash
from slashbench.trainers.regimes.backslash_q import BackSlashQ

STEPS = 40
SETTINGS: dict[str, dict[str, Any]] = {
    "gradient": {"update": "gradient", "scope": "all"},
    "proximal": {"update": "proximal", "eps": 0.1},
    "per-tensor": {"update": "proximal", "shapes": "per-tensor"},
}
IN_THE_LOOP: dict[str, dict[str, Any]] = {
    "in the loop": {},
    "by row": {"granularity": "channel"},
    "by class": {"granularity": "channel", "classes": 4, "anneal": 0.4},
}


def network() -> nn.Module:
    torch.manual_seed(1)
    # 7 rows: the two shards are uneven
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()


def hook_of(kind: str, module: nn.Module) -> Any:
    if kind in IN_THE_LOOP:
        plan = TrainingPlan(steps=STEPS, learning_rate=0.1, warmup=0)
        regime = BackSlashQ(lam=0.1, step=2**-5, begin=0.2, **IN_THE_LOOP[kind])
        return regime.hook(dict(module.named_parameters()), plan)
    return BackSlash(module, 0.05, **SETTINGS[kind])


def train(module: nn.Module, kind: str, rank: int, ranks: int) -> dict[str, torch.Tensor]:
    """Full-batch descent, each rank on its share of the rows."""
    rows = torch.randn(16, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    targets = rows[:, :3].sin()
    share = slice(rank * 16 // ranks, (rank + 1) * 16 // ranks)
    inner = module.module if isinstance(module, DistributedDataParallel) else module
    hook = hook_of(kind, inner)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(STEPS):
        optimizer.zero_grad()
        hook.before_forward()
        (module(rows[share]) - targets[share]).square().mean().backward()
        hook.before_step()
        optimizer.step()
        hook.after_step()
    figures = {key: torch.tensor(value).double() for key, value in hook.log().items()}
    return figures | {
        name: (p.full_tensor() if isinstance(p, DTensor) else p).detach()
        for name, p in inner.named_parameters()
    }


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    for kind in (*SETTINGS, *IN_THE_LOOP):
        sharded = network()
        fully_shard(sharded, mesh=dist.device_mesh.init_device_mesh("cpu", (ranks,)))
        found = {
            "ddp": train(DistributedDataParallel(network()), kind, rank, ranks),
            "fsdp": train(sharded, kind, rank, ranks),
            "alone": train(network(), kind, 0, 1),
        }
        if rank == 0:
            torch.save(found, folder / f"{kind}.pt")
    dist.barrier()  # a rank that leaves early makes the other abort
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
