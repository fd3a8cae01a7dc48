"""Training over several processes: how a batch is shared, and what they agree on.

Each process takes its rows of every batch. Under DDP each has the whole module, under FSDP2 its
shard of every parameter; the mean of all gradients is that of the whole batch either way, so that
the steps are those of one process, but for rounding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from slashbench import trees
from slashbench.contracts import Execution, Weights
from slashbench.errors import UsageError
from slashbench.trainers.training.sharding import is_sharded


def count() -> int:
    """Return how many processes train together; 1 if this one trains alone."""
    return dist.get_world_size() if dist.is_initialized() else 1


def shard(module: nn.Module, execution: Execution) -> None:
    """Shard the parameters of a module in place if the execution says so: hooks see the shards."""
    if execution.sharding == "fsdp2":
        from torch.distributed.fsdp import fully_shard  # a second to load

        device = torch.device(execution.device).type
        fully_shard(module, mesh=dist.device_mesh.init_device_mesh(device, (count(),)))


def called(module: nn.Module, execution: Execution) -> nn.Module:
    """Return what to call in place of a module, so that all processes have the same gradients.

    DDP takes note of which parameters are trained: they must be settled by then.
    """
    if execution.processes == 1 or execution.sharding == "fsdp2":
        return module
    return DistributedDataParallel(module)


def from_first(draws: torch.Tensor) -> torch.Tensor:
    """Return the random numbers that the first process has drawn, in every process.

    Their generators go apart: a model with dropout draws as many as there are rows in its share.
    """
    if count() > 1:
        dist.broadcast(draws, 0)
    return draws


def share(batch: Any) -> tuple[Any, float]:
    """Return this process's rows of a batch, and the weight of their mean loss.

    The mean over all processes of weight times loss is the mean over the batch. Raises UsageError
    for a batch that can't be divided.
    """
    processes = count()
    if processes == 1:
        return batch, 1.0
    n_rows = _rows(batch)
    if n_rows < processes:
        raise UsageError(
            f"a batch of {n_rows} rows can't be divided among {processes} processes; take fewer"
        )
    rank = dist.get_rank()
    first, last = n_rows * rank // processes, n_rows * (rank + 1) // processes
    part = trees.mapped(
        batch, lambda leaf: leaf[first:last] if isinstance(leaf, torch.Tensor) else leaf
    )
    return part, (last - first) * processes / n_rows


def mean(value: float) -> float:
    """Return the mean of a number over all processes."""
    if count() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(total)
    return float(total) / count()


def agreed(step: int) -> int:
    """Return the step if it is the same in all processes; else 0, for all to start anew."""
    if count() == 1:
        return step
    ends = torch.tensor([step, -step])
    dist.all_reduce(ends, dist.ReduceOp.MAX)
    return step if ends[0] == -ends[1] else 0


def whole(module: nn.Module) -> Weights:
    """Return the state dict, every tensor whole and on the CPU, tied names sharing one tensor."""
    found: dict[int, torch.Tensor] = {}
    state = module.state_dict(keep_vars=True)
    for tensor in state.values():
        if id(tensor) not in found:
            full = tensor.full_tensor() if is_sharded(tensor) else tensor
            found[id(tensor)] = full.detach().cpu()
    return {name: found[id(tensor)] for name, tensor in state.items()}


def _rows(batch: Any) -> int:
    """Return the length of the first dimension, which all tensors of a batch must share."""
    tensors = [leaf for leaf in trees.leaves(batch) if isinstance(leaf, torch.Tensor)]
    sizes = {len(tensor) if tensor.ndim else 0 for tensor in tensors}
    if len(sizes) != 1:
        raise UsageError(
            "the batches of this model have no rows in common that processes could share: train "
            "it with one process"
        )
    return sizes.pop()
