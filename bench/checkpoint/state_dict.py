"""Float checkpoints as safetensors files: tied tensors stored once, every name kept."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import ml_dtypes
import numpy as np
import safetensors
import safetensors.torch
import torch

from slashbench.arrays import Array
from slashbench.bench.checkpoint import plain_header, sources
from slashbench.contracts import Model, Weights
from slashbench.errors import CorruptFile, Unencodable

Kind = Literal["embedding", "matrix", "vector", "buffer"]


def tied_names(weights: Weights) -> dict[str, str]:
    """Return each name whose tensor is the memory of an earlier one -> that earlier name."""
    first: dict[tuple[object, ...], str] = {}
    aliases = {}
    for name, tensor in weights.items():
        identity = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and identity in first:
            aliases[name] = first[identity]
        else:
            first[identity] = name
    return aliases


def to_bytes(weights: Weights, buffers: Collection[str] = (), base_hash: str = "") -> bytes:
    """Return a safetensors file that says which names are tied, and which are buffers.

    base_hash: of the weights that these are differences to; empty: they are whole.
    """
    aliases = tied_names(weights)
    unique = {name: w.contiguous() for name, w in weights.items() if name not in aliases}
    metadata = {sources.ALIASES: json.dumps(aliases)}
    if named := sorted(unique.keys() & set(buffers)):
        metadata[sources.BUFFERS] = json.dumps(named)
    if base_hash:
        metadata[sources.BASE] = base_hash
    return safetensors.torch.save(unique, metadata=metadata)


def load(path: Path) -> Weights:
    """Load the weights of `to_bytes`, tied names sharing one tensor. Raises CorruptFile."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            weights: Weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for alias, name in sources.aliases(metadata).items():
            weights[alias] = weights[name]
    except (safetensors.SafetensorError, CorruptFile, KeyError) as error:
        raise CorruptFile(f"{path} is no checkpoint of ours: {error}") from error
    return weights


def to_numpy(state: Weights) -> dict[str, Array]:
    """Return tensors as arrays over the same memory.

    Raises Unencodable for a dtype that NumPy lacks.
    """
    try:
        return {name: _to_numpy(tensor.detach()) for name, tensor in state.items()}
    except TypeError as error:
        raise Unencodable(f"a tensor's dtype has no numpy form ({error}); use float32") from error


def to_torch(arrays: Mapping[str, Array]) -> Weights:
    """Return arrays as tensors of their own memory."""
    return {name: _to_torch(np.array(array)) for name, array in arrays.items()}


def _to_numpy(tensor: torch.Tensor) -> Array:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _to_torch(array: Array) -> torch.Tensor:
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def kind_of(model: Model, name: str, dtype: str, dimensions: int) -> Kind:
    """Return how a tensor is reported: buffers are integer state that no recipe changes.

    dtype: as safetensors calls it.
    """
    if not plain_header.is_float(dtype):
        return "buffer"
    if dimensions < 2:
        return "vector"
    return "embedding" if model.is_embedding(name) else "matrix"
