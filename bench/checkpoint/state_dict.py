"""Float checkpoints as safetensors files: tied tensors stored once, every name kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.torch
import torch

from slashbench.contracts import Model, Weights
from slashbench.errors import CorruptFile

Kind = Literal["embedding", "matrix", "vector", "buffer"]


def tied_names(weights: Weights) -> dict[str, str]:
    """Each name whose tensor is the very memory of an earlier one -> that earlier name."""
    first: dict[tuple[object, ...], str] = {}
    aliases = {}
    for name, tensor in weights.items():
        identity = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and identity in first:
            aliases[name] = first[identity]
        else:
            first[identity] = name
    return aliases


def to_bytes(weights: Weights) -> bytes:
    """A safetensors file that remembers which names are tied."""
    aliases = tied_names(weights)
    unique = {name: w.contiguous() for name, w in weights.items() if name not in aliases}
    return safetensors.torch.save(unique, metadata={"aliases": json.dumps(aliases)})


def load(path: Path) -> Weights:
    """The weights of `to_bytes`, tied names sharing one tensor. Raises CorruptFile."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            weights: Weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for alias, name in json.loads(metadata.get("aliases", "{}")).items():
            weights[alias] = weights[name]
    except (safetensors.SafetensorError, json.JSONDecodeError, KeyError) as error:
        raise CorruptFile(f"{path} is no checkpoint of ours: {error}") from error
    return weights


def kind_of(model: Model, name: str, tensor: torch.Tensor) -> Kind:
    """How a tensor is reported: buffers are integer state that no recipe changes."""
    if not tensor.is_floating_point():
        return "buffer"
    if tensor.ndim < 2:
        return "vector"
    return "embedding" if model.is_embedding(name) else "matrix"
