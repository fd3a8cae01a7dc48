"""The tensors a hook works on: parameters in scope, their local parts, pieces that fit the cache.

Arithmetic is done in float32 or wider. A parameter of fewer bits (bfloat16, float16, float8) would
swallow steps smaller than half a unit in its last place: `Remainders` keeps what rounding leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.nn.parameter import is_lazy

from slashbench.errors import UsageError
from slashbench.trainers.training.sharding import is_sharded

Scope = Literal["all", "matrices"]

#: What may be constrained: a module, or what torch's optimisers take.
Parameters = nn.Module | Mapping[str, nn.Parameter] | Iterable[Any]

#: Values handled at once on a CPU: temporaries of 1 MiB stay in the second-level cache.
PIECE = 1 << 18
#: And on a device with memory of its own, where what counts is that temporaries stay small.
DEVICE_PIECE = 1 << 24


def named(parameters: Parameters) -> dict[str, nn.Parameter]:
    """Return parameters by name, each shared one once.

    Takes a module, a mapping, and what torch's optimisers take: parameters, pairs of a name and a
    parameter, or groups `{"params": ...}`. Those without a name get a number. Raises UsageError
    for anything else.
    """
    if isinstance(parameters, nn.Module):
        return dict(parameters.named_parameters())
    pairs = parameters.items() if isinstance(parameters, Mapping) else _numbered(parameters)
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for name, parameter in pairs:
        if not isinstance(parameter, torch.Tensor):
            raise UsageError(f"{name} is a {type(parameter).__name__}, not a parameter")
        found.setdefault(id(parameter), (name, cast("nn.Parameter", parameter)))
    return dict(found.values())


def _numbered(parameters: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(parameters, torch.Tensor) or not isinstance(parameters, Iterable):
        raise UsageError(
            f"a {type(parameters).__name__} can't be constrained: pass a module, parameters by "
            "name, or a list of parameters"
        )
    for index, item in enumerate(parameters):
        if isinstance(item, Mapping) and "params" in item:
            inner = item["params"]
            group = [inner] if isinstance(inner, torch.Tensor) else inner
            yield from ((f"{index}.{name}", p) for name, p in named(group).items())
        elif isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            yield item
        else:
            yield str(index), item


def trainable(parameters: Parameters, scope: Scope) -> dict[str, nn.Parameter]:
    """Return the parameters in scope that are trained now, by name, each shared one once.

    Frozen and empty ones are left out. Raises UsageError for one that can't be constrained: it is
    complex, on the meta device, or not initialised yet.
    """
    return {
        name: parameter
        for name, parameter in named(parameters).items()
        if parameter.requires_grad and _in_scope(name, parameter, scope)
    }


def in_scope(parameters: Parameters, scope: Scope) -> dict[str, nn.Parameter]:
    """Return what `trainable` does. Raises UsageError if that is nothing.

    scope: all of them, or only those of two and more dimensions.
    """
    chosen = trainable(parameters, scope)
    if not chosen:
        cure = "; scope=all takes vectors too" if trainable(parameters, "all") else ""
        raise UsageError(f"no trainable parameters in scope {scope!r}: nothing to constrain{cure}")
    return chosen


def frozen(parameters: Parameters, scope: Scope) -> dict[str, nn.Parameter]:
    """Return the parameters in scope that are not trained, by name, each shared one once."""
    return {
        name: parameter
        for name, parameter in named(parameters).items()
        if not parameter.requires_grad
        and parameter.is_floating_point()
        and _in_scope(name, parameter, scope)
    }


def _in_scope(name: str, parameter: nn.Parameter, scope: Scope) -> bool:
    """Whether a parameter is in scope. Raises UsageError for one that can't be constrained."""
    if is_lazy(parameter):
        raise UsageError(f"{name} is not initialised yet: run one forward pass first")
    if parameter.is_complex():
        raise UsageError(
            f"{name} is {parameter.dtype}: complex parameters can't be constrained; pass the "
            "others by name, or store it as pairs of real numbers (torch.view_as_real)"
        )
    if parameter.is_meta:
        raise UsageError(f"{name} is on the meta device: load or initialise its weights first")
    return bool(parameter.numel()) and (scope == "all" or parameter.ndim >= 2)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Return the part of a parameter or gradient that is on this process, without autograd."""
    detached = tensor.detach()
    return detached.to_local() if is_sharded(detached) else detached


def gradient(name: str, parameter: nn.Parameter) -> torch.Tensor | None:
    """Return the local part of a parameter's gradient; None if it has none.

    Raises UsageError for a sparse gradient: a rate term has a slope at every weight.
    """
    if parameter.grad is None:
        return None
    if parameter.grad.layout != torch.strided:
        raise UsageError(
            f"the gradient of {name} is sparse, and a rate term acts on every weight: build the "
            "layer with sparse=False, or choose an update that acts after the optimiser's step"
        )
    return local(parameter.grad)


def pieces(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return flat views that cover a local tensor; itself if it is not contiguous."""
    if not tensor.is_contiguous():
        return (tensor,)
    return torch.split(tensor.view(-1), _piece_on(tensor.device))


def together(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield the same pieces of local tensors of one shape."""
    if all(tensor.is_contiguous() for tensor in tensors):
        yield from zip(*map(pieces, tensors), strict=True)
    else:
        yield tensors


def with_step_sizes(
    step_sizes: torch.Tensor, *tensors: torch.Tensor
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield the same pieces of local tensors of one shape, after the step sizes that go with them.

    step_sizes: of a grid: one for all, shape (), or one a row, shape (rows,). What is yielded can
    be broadcast to the pieces.
    """
    if step_sizes.ndim == 0:
        for parts in together(*tensors):
            yield step_sizes, *parts
        return
    columns = tensors[0].numel() // max(len(step_sizes), 1)
    n_rows = max(1, _piece_on(tensors[0].device) // max(columns, 1))
    for start in range(0, len(step_sizes), n_rows):
        rows = [tensor[start : start + n_rows] for tensor in tensors]
        yield step_sizes[start : start + n_rows].view(-1, *[1] * (rows[0].ndim - 1)), *rows


def _piece_on(device: torch.device) -> int:
    return PIECE if device.type == "cpu" else DEVICE_PIECE


def is_narrow(tensor: torch.Tensor) -> bool:
    """Whether a tensor has fewer bits than float32."""
    return tensor.element_size() < 4


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32, or itself if it is that or wider."""
    return tensor.float() if is_narrow(tensor) else tensor


class Remainders:
    """What rounding to a narrow dtype left of the values added to tensors, by name.

    It is added the next time, so that small steps add up to what they would in float32. It takes
    4 bytes for each element of a tensor of fewer bits than float32, and nothing for others.
    """

    def __init__(self) -> None:
        self._kept: dict[str, torch.Tensor] = {}

    def of(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Return the remainder of a narrow local tensor; zeros for one not seen before."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != tensor.shape:
            kept = torch.zeros_like(tensor, dtype=torch.float32)
        self._kept[name] = kept = kept.to(tensor.device)
        return kept

    def state(self) -> dict[str, torch.Tensor]:
        """Return all remainders by name."""
        return dict(self._kept)

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with these."""
        self._kept = {name: kept.clone() for name, kept in state.items()}


def store(wide: torch.Tensor, narrow: torch.Tensor, remainder: torch.Tensor) -> None:
    """Round `wide` into `narrow` and leave the difference in `remainder`; overwrites `wide`.

    Nothing remains of a value that is not finite, such as a gradient that a scaler will skip.
    """
    narrow.copy_(wide)
    remainder.copy_(wide.sub_(narrow.float())).nan_to_num_(0.0, 0.0, 0.0)


def sum_over_ranks(sums: torch.Tensor, parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    """Turn row i of `sums`, found on the local part of parameter i, into that of the whole one.

    Parameters that are whole on each process (one process, DDP) stay as they are. Those sharded by
    FSDP2 are added up over the processes that hold the other parts.
    """
    meshes: dict[tuple[DeviceMesh, int], list[int]] = {}
    for row, parameter in enumerate(parameters):
        if is_sharded(parameter):
            for dim, placement in enumerate(parameter.placements):
                if placement.is_shard():
                    meshes.setdefault((parameter.device_mesh, dim), []).append(row)
    for (mesh, dim), rows in meshes.items():
        part = sums[rows]
        dist.all_reduce(part, group=mesh.get_group(dim))
        sums[rows] = part
    return sums
