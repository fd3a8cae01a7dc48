"""The tensors a hook works on: local parts of parameters, in pieces that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from slashbench.errors import UsageError

Scope = Literal["all", "matrices"]

#: Values handled at once on a CPU: temporaries of 1 MiB stay in the second-level cache.
PIECE = 1 << 18
#: And on a device with memory of its own, where what counts is that temporaries stay small.
DEVICE_PIECE = 1 << 24


def in_scope(
    parameters: nn.Module | Mapping[str, nn.Parameter], scope: Scope
) -> dict[str, nn.Parameter]:
    """The trainable parameters to constrain, each shared one once, frozen ones left out.

    scope: all of them, or only those of two and more dimensions. Raises UsageError when none is.
    """
    named = (
        parameters.named_parameters() if isinstance(parameters, nn.Module) else (parameters.items())
    )
    chosen = {n: p for n, p in named if p.requires_grad and (scope == "all" or p.ndim >= 2)}
    chosen = {n: p for n, p in chosen.items() if p.numel()}
    if not chosen:
        cure = "" if scope == "all" else "; scope=all takes vectors too"
        raise UsageError(f"no trainable parameters in scope {scope!r}: nothing to constrain{cure}")
    return chosen


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a parameter or gradient that is on this process, without autograd."""
    detached = tensor.detach()
    return detached.to_local() if isinstance(detached, DTensor) else detached


def pieces(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Flat views that cover a local tensor; itself where it is not contiguous."""
    if not tensor.is_contiguous():
        return (tensor,)
    return torch.split(tensor.view(-1), PIECE if tensor.device.type == "cpu" else DEVICE_PIECE)


def paired(
    first: torch.Tensor, second: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same pieces of two local tensors of one shape."""
    if first.is_contiguous() and second.is_contiguous():
        yield from zip(pieces(first), pieces(second), strict=True)
    else:
        yield first, second


def with_step_sizes(
    step_sizes: torch.Tensor, *tensors: torch.Tensor
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield the same pieces of local tensors of one shape, after the step sizes that go with them.

    step_sizes: of a grid: one for all, shape (), or one a row, shape (rows,). What is yielded can
    be broadcast to the pieces.
    """
    if step_sizes.ndim == 0:
        first, *others = tensors
        if all(tensor.is_contiguous() for tensor in tensors):
            for part in zip(*map(pieces, tensors), strict=True):
                yield step_sizes, *part
        else:
            yield step_sizes, first, *others
        return
    columns = tensors[0].numel() // max(len(step_sizes), 1)
    n_rows = max(1, PIECE // max(columns, 1))
    for start in range(0, len(step_sizes), n_rows):
        rows = [tensor[start : start + n_rows] for tensor in tensors]
        yield step_sizes[start : start + n_rows].view(-1, *[1] * (rows[0].ndim - 1)), *rows


def sum_over_ranks(sums: torch.Tensor, parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    """Row i of `sums`, found on the local part of parameter i -> that of the whole parameter.

    Parameters that are whole on each process (one process, DDP) stay as they are. Those sharded by
    FSDP2 are added up over the processes that hold the other parts.
    """
    meshes: dict[tuple[DeviceMesh, int], list[int]] = {}
    for row, parameter in enumerate(parameters):
        if isinstance(parameter, DTensor):
            for dim, placement in enumerate(parameter.placements):
                if placement.is_shard():
                    meshes.setdefault((parameter.device_mesh, dim), []).append(row)
    for (mesh, dim), rows in meshes.items():
        part = sums[rows]
        dist.all_reduce(part, group=mesh.get_group(dim))
        sums[rows] = part
    return sums
