"""The state of a training run as a file, so that a killed run resumes bit for bit.

A safetensors file: parameters, buffers, AdamW's moments, the hook's state and torch's random
states, the GPU's where the module is on one; the step and the log so far are in its metadata. The
order of batches follows from the seed. With several processes, each has a snapshot of its own, of
the parts that it holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import safetensors
import torch
from safetensors.torch import load, save_file
from torch import nn

from slashbench.contracts import TrainingHook
from slashbench.errors import CorruptFile
from slashbench.trainers.training.parameters import local
from slashbench.trainers.training.sharding import is_sharded

KEY = "slashbench-training-2"
_RANDOM, _CUDA_RANDOM = "random", "random.cuda"


class SnapshotStore(Protocol):
    """Keep one snapshot of one run."""

    def read(self) -> bytes | None:
        """Return the snapshot written last, or None."""

    def write(self, save: Callable[[Path], None]) -> None:
        """Replace the last snapshot by the file that `save` writes, atomically."""


def pack(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    hook: TrainingHook,
    progress: dict[str, Any],
) -> Callable[[Path], None]:
    """Return what writes a file of all that the rest of the run depends on, without copying it.

    progress: JSON: the step and the log.
    """
    tensors = {f"module.{name}": tensor for name, tensor in _stateful(module)}
    for name, parameter in module.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors |= {f"hook.{key}": value for key, value in hook.state().items()}
    tensors[_RANDOM] = torch.get_rng_state()
    if device := _cuda(module):
        tensors[_CUDA_RANDOM] = torch.cuda.get_rng_state(device)
    contiguous = {name: local(tensor).contiguous() for name, tensor in tensors.items()}
    return partial(_save, contiguous, {KEY: json.dumps(progress)})


@dataclass(frozen=True)
class Snapshot:
    """A snapshot to resume from."""

    progress: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def restore(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, hook: TrainingHook
    ) -> None:
        """Put everything back in place."""
        with torch.no_grad():
            for name, tensor in _stateful(module):
                local(tensor).copy_(self.tensors[f"module.{name}"])
        parameters = dict(module.named_parameters())
        for key, value in self.tensors.items():
            group, _, rest = key.partition(".")
            if group == "optimizer":
                what, _, name = rest.partition(".")
                parameter = parameters[name]
                optimizer.state[parameter][what] = _like(value, parameter, what)
        hook.load_state(
            {
                key.removeprefix("hook."): value
                for key, value in self.tensors.items()
                if key.startswith("hook.")
            }
        )
        torch.set_rng_state(self.tensors[_RANDOM])
        if device := _cuda(module):
            torch.cuda.set_rng_state(self.tensors[_CUDA_RANDOM], device)


def moments(
    optimizer: torch.optim.Optimizer, tensors: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the state of a hook's own optimiser, by kind and place among `tensors`."""
    return {
        f"{key}.{number}": value
        for number, tensor in enumerate(tensors)
        for key, value in optimizer.state.get(tensor, {}).items()
    }


def load_moments(
    optimizer: torch.optim.Optimizer,
    tensors: Sequence[torch.Tensor],
    state: Mapping[str, torch.Tensor],
) -> None:
    """Put back what `moments` returned; of a tensor that never had a gradient there is nothing."""
    for number, tensor in enumerate(tensors):
        if f"step.{number}" in state:
            optimizer.state[tensor] = {
                key: state[f"{key}.{number}"].to(tensor.device)  # where its fused kernel reads them
                for key in ("step", "exp_avg", "exp_avg_sq")
            }


def unpack(data: bytes, module: nn.Module) -> Snapshot:
    """Read a snapshot. Raises CorruptFile if it is damaged or not of this module."""
    try:
        length = int.from_bytes(data[:8], "little")
        progress: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
        tensors = load(data)
        shapes = {name: local(tensor).shape for name, tensor in _stateful(module)}
        fits = all(tensors[f"module.{name}"].shape == shape for name, shape in shapes.items())
        random = {_RANDOM, *([_CUDA_RANDOM] if _cuda(module) else [])}
        if not fits or not random <= tensors.keys():
            raise ValueError("it is of another module")
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(f"the snapshot of a training run is damaged: {error}") from error
    return Snapshot(progress, tensors)


def _save(tensors: dict[str, torch.Tensor], metadata: dict[str, str], path: Path) -> None:
    try:
        save_file(tensors, path, metadata)
    except safetensors.SafetensorError as error:
        raise OSError(str(error)) from error  # as for every other file


def _like(value: torch.Tensor, parameter: nn.Parameter, what: str) -> torch.Tensor:
    """Return a part of the optimiser's state in the form of its parameter."""
    part = value.to(parameter.device)  # the step too: AdamW's fused kernel reads it there
    if what == "step" or not is_sharded(parameter):
        return part
    from torch.distributed.tensor import DTensor  # here it has been loaded already

    whole = parameter.shape, parameter.stride()
    return DTensor.from_local(
        part, parameter.device_mesh, parameter.placements, shape=whole[0], stride=whole[1]
    )


def _cuda(module: nn.Module) -> torch.device | None:
    """Return the GPU that the module is on, whose dropout has a random state of its own."""
    device = next((parameter.device for parameter in module.parameters()), None)
    return device if device is not None and device.type == "cuda" else None


def _stateful(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield parameters and buffers, shared ones once."""
    yield from module.named_parameters()
    yield from module.named_buffers()
