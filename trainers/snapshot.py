"""The state of a training run as bytes, so that a killed run goes on bit for bit where it was.

A safetensors file: parameters, buffers, AdamW's moments, the penalty's state and torch's random
state; the step and the log so far are in its metadata. The order of batches follows from the seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

import safetensors
import torch
from safetensors.torch import load, save
from torch import nn

from slashbench.contracts import Penalty
from slashbench.errors import CorruptFile

KEY = "slashbench-training"
_RANDOM = "random"


class Keeper(Protocol):
    """Keeps one snapshot of one run."""

    def read(self) -> bytes | None:
        """The snapshot kept last, or None."""

    def write(self, data: bytes) -> None:
        """Keep a snapshot in place of the last one, in one step."""


def pack(
    module: nn.Module, optimizer: torch.optim.Optimizer, penalty: Penalty, progress: dict[str, Any]
) -> bytes:
    """Everything the rest of the run depends on. progress: JSON, such as the step and the log."""
    tensors = {f"module.{name}": tensor for name, tensor in _stateful(module)}
    for name, parameter in module.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors |= {f"penalty.{key}": value for key, value in penalty.state().items()}
    tensors[_RANDOM] = torch.get_rng_state()
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    return save(contiguous, metadata={KEY: json.dumps(progress)})


def unpack(
    data: bytes, module: nn.Module, optimizer: torch.optim.Optimizer, penalty: Penalty
) -> dict[str, Any]:
    """Put everything back in place. Returns the progress. Raises CorruptFile, nothing changed."""
    try:
        length = int.from_bytes(data[:8], "little")
        progress: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
        tensors = load(data)
        stateful = {name: tensors[f"module.{name}"] for name, _ in _stateful(module)}
        random = tensors[_RANDOM]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(f"the snapshot of a training run is damaged: {error}") from error
    with torch.no_grad():
        for name, tensor in _stateful(module):
            tensor.copy_(stateful[name])
    parameters = dict(module.named_parameters())
    for key, value in tensors.items():
        group, _, rest = key.partition(".")
        if group == "optimizer":
            what, _, name = rest.partition(".")
            device = "cpu" if what == "step" else parameters[name].device
            optimizer.state[parameters[name]][what] = value.to(device)
    penalty.load_state(
        {k.removeprefix("penalty."): v for k, v in tensors.items() if k.startswith("penalty.")}
    )
    torch.set_rng_state(random)
    return progress


def _stateful(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers, shared ones once."""
    yield from module.named_parameters()
    yield from module.named_buffers()
